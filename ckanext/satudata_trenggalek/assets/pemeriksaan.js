// Comfort on the review page, which works without: a comment is written in place, what is typed for
// the decision is kept by the portal, and a page that went stale says so.
ckan.module('satudata-pemeriksaan', function () {
  'use strict';

  return {
    options: { dataset: '', hash: '', status: '', saved: '' },

    initialize: function () {
      var self = this, page = this.el[0];
      this.form = document.getElementById('keputusan-form');
      page.addEventListener('click', function (event) {
        var link = event.target.closest('[data-komentar], [data-balas]');
        if (link) {
          event.preventDefault();
          self._write(link);
        } else if (event.target.closest('[data-batal]')) {
          var box = event.target.closest('[data-tulis]'), opener = box.opener;
          if (opener) { event.preventDefault(); box.remove(); opener.focus(); }
        }
      });
      if (!this.form || !this.form.elements.content_hash) { return; }
      this.form.addEventListener('input', function (event) {
        if (event.target.name && event.target.name.indexOf('komentar') === 0) { return; }
        self._count();
        clearTimeout(self.timer);
        self.timer = setTimeout(function () { self._save(); }, 2000);
      });
      this.form.addEventListener('submit', function () { clearTimeout(self.timer); });
      document.addEventListener('visibilitychange', function () {
        if (!document.hidden) { self._look(); }
      });
      // Back shows the page as it was before the decision.
      window.addEventListener('pageshow', function (event) { if (event.persisted) { self._look(); } });
      this.looking = setInterval(function () { if (!document.hidden) { self._look(); } }, 60000);
    },

    // Open the form of a comment where it is asked for; a second click goes to the open one.
    _write: function (link) {
      var path = link.dataset.komentar || '', parent = link.dataset.balas || '';
      var row = link.closest('tbody');
      var place = link.closest('.sd-thread, dd') || (row && row.querySelector('.sd-lanjut td')) || link.parentElement.parentElement;
      var open = Array.prototype.find.call(document.querySelectorAll('[data-tulis]'), function (box) {
        return box.about === path + '|' + parent;
      });
      if (!open) {
        var template = document.querySelector('template[data-tulis-baru="' + (link.dataset.blok || '') + '"]');
        open = template.content.firstElementChild.cloneNode(true);
        open.about = path + '|' + parent;
        open.opener = link;
        open.querySelector('[name=komentar_field]').value = path;
        open.querySelector('[name=komentar_parent]').value = parent;
        if (place.classList.contains('sd-file')) { place.after(open); } else { place.appendChild(open); }
      }
      open.querySelector('textarea').focus();
    },

    _count: function () {
      var place = this.form.querySelector('[data-dinilai]');
      if (place) {
        place.textContent = place.dataset.dinilai.replace('{n}', this.form.querySelectorAll('.sd-check :checked').length);
      }
    },

    _save: function () {
      var place = this.form.querySelector('[data-simpan]'), self = this, data = new FormData(this.form);
      Array.from(data.keys()).forEach(function (name) { if (name.indexOf('komentar') === 0) { data.delete(name); } });
      data.set('aksi', 'simpan');
      fetch(this.form.action, { method: 'POST', body: data, headers: { 'X-Requested-With': 'fetch' } })
        .then(function (answer) { if (place && answer.ok) { place.textContent = self.options.saved; } }, function () {});
    },

    _look: function () {
      var self = this, notice = document.querySelector('[data-usang]');
      fetch('/api/3/action/satudata_status_show?id=' + encodeURIComponent(this.options.dataset))
        .then(function (answer) { return answer.json(); })
        .then(function (answer) {
          var now = answer.result;
          if (!now || !notice) { return; }
          var same = now.status === self.options.status && now.content_hash === self.options.hash;
          if (!same && notice.hidden) { notice.hidden = false; }
        }, function () {});
    }
  };
});
