"""Two people at the same moment: one of them is told, and what was decided on is what was read."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Event
from typing import Any

import ckan.model as core
import ckan.plugins.toolkit as tk
import pytest

from ckanext.satudata_trenggalek import content, gate, maintenance, model
from tests.world import World

ROUNDS = 20
REFUSED = (tk.NotAuthorized, tk.ValidationError)


def at_once(*acts: Callable[[], Any]) -> list[Any]:
    """What each act gave, or the refusal it met; all start together, each on its own connection."""
    barrier = Barrier(len(acts))

    def run(act: Callable[[], Any]) -> Any:
        barrier.wait()
        try:
            return act()
        except REFUSED as error:
            return error
        finally:
            core.Session.remove()

    core.Session.remove()
    with ThreadPoolExecutor(len(acts)) as pool:
        return list(pool.map(run, acts))


def test_approve_against_return(world: World) -> None:
    id_ = world.at("diajukan")["id"]
    for _round in range(ROUNDS):
        hash_ = world.status(id_)["content_hash"]
        read = {"content_hash": hash_, "checklist": World.CHECKLIST}
        approved, returned = at_once(
            lambda: world.move_raw("walidata", id_, "setujui", **read),  # noqa: B023
            lambda: world.move_raw("walidata_2", id_, "kembalikan", note="Perbaiki."),
        )
        # Returning what was just approved is allowed; approving what was just returned is not.
        assert isinstance(returned, dict)
        assert isinstance(approved, (dict, tk.ValidationError))
        assert world.status(id_)["status"] == "dikembalikan"
        world.move("produsen_dinkes", id_, "ajukan")
    assert maintenance.verify()[1] == []


def test_publish_twice(world: World) -> None:
    for _round in range(ROUNDS // 4):
        id_ = world.at("terverifikasi")["id"]
        hash_ = world.status(id_)["content_hash"]
        both = at_once(
            *(
                lambda user=user: world.move_raw(user, id_, "terbitkan", content_hash=hash_)  # noqa: B023
                for user in ("walidata", "walidata_2")
            )
        )
        assert sorted(isinstance(one, dict) for one in both) == [False, True]
        assert world.status(id_)["version"] == 1


def test_edit_against_submission(world: World) -> None:
    id_ = world.draft()["id"]
    for round_ in range(ROUNDS):
        edited, submitted = at_once(
            lambda: world.call(
                "package_patch",
                "produsen_dinkes_2",
                id=id_,
                definisi=f"Definisi {round_}.",  # noqa: B023
            ),
            lambda: world.move_raw("produsen_dinkes", id_, "ajukan"),
        )
        assert isinstance(submitted, dict), submitted
        kept = core.Session.get(model.Content, submitted["content_hash"])
        assert kept is not None
        # What stands there is what was submitted, whether the edit came before or was refused.
        assert content.canonical(id_) == kept.content
        assert isinstance(edited, dict) == (
            kept.content["extras"]["definisi"] == f"Definisi {round_}."
        )
        world.move("produsen_dinkes", id_, "batalkan")


@pytest.mark.parametrize("first", ["publish", "withdraw"])
def test_publication_against_withdrawal_of_its_kegiatan(
    world: World, monkeypatch: pytest.MonkeyPatch, first: str
) -> None:
    """Whoever comes second waits for the first, and then sees what it did."""
    kegiatan = world.kegiatan_at("terbit")["id"]
    id_ = world.at("terverifikasi", id_kegiatan=kegiatan)["id"]
    hash_ = world.status(id_)["content_hash"]
    inside, go_on = Event(), Event()
    original = getattr(gate, first)

    def paused(package: core.Package) -> None:
        inside.set()
        assert go_on.wait(20)
        original(package)

    monkeypatch.setattr(gate, first, paused)
    acts: dict[str, Callable[[], Any]] = {
        "publish": lambda: world.move_raw("walidata", id_, "terbitkan", content_hash=hash_),
        "withdraw": lambda: world.move_raw("walidata_2", kegiatan, "tarik", note="Keliru."),
    }
    second = next(name for name in acts if name != first)

    def run(name: str) -> Any:
        try:
            return acts[name]()
        except REFUSED as error:
            return error
        finally:
            core.Session.remove()

    core.Session.remove()
    with ThreadPoolExecutor(2) as pool:
        one = pool.submit(run, first)
        assert inside.wait(20)
        other = pool.submit(run, second)
        try:
            with pytest.raises(TimeoutError):
                other.result(timeout=0.7)
        finally:
            go_on.set()
        assert one.result()["status"] in ("terbit", "ditarik")
        result = other.result()
    if first == "publish":
        assert result["status"] == "ditarik"
        assert world.status(id_)["status"] == "terbit"
    else:
        assert list(result.error_dict) == ["id_kegiatan"]
        assert world.status(id_)["status"] == "terverifikasi"
