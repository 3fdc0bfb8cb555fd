// A repeating block of a form (scheming/form_snippets/satudata_berulang.html): add, remove with undo,
// reorder by drag and by buttons, duplicate, fill all rows at once. Rows carry their number in names
// and ids, which follow the order on the page. Without JS the server renders blank rows.
ckan.module('satudata-berulang', function ($) {
  'use strict';

  var NAMED = ['id', 'name', 'for', 'aria-describedby'];

  return {
    options: {
      most: 0, unique: '', label: '', count: '', added: '', removed: '', undo: '', restored: '',
      moved: '', full: '', applied: '', filled: ''
    },

    initialize: function () {
      var self = this, box = this.box = this.el[0];
      this.name = box.dataset.berulang;
      this.list = box.querySelector('[data-daftar]');
      this.live = box.querySelector('[data-kabar]');
      this.undoBox = box.querySelector('[data-urungkan]');
      this.blank = this._signature(this._fromTemplate('[data-cetakan]')[0]);
      box.classList.add('is-js');
      ['[data-tambah]', '[data-tawar]'].forEach(function (css) {
        box.querySelectorAll(css).forEach(function (e) { e.hidden = false; });
      });
      this._tools(this._rows().length);
      box.addEventListener('click', function (event) { self._onClick(event); });
      box.addEventListener('input', function (event) { self._onInput(event); });
      box.addEventListener('change', function (event) { self._onInput(event); });
      this._drag();
      this.form = box.closest('form');
      if (this.form) {
        this.form.addEventListener('submit', function () { self._dropUntouched(); });
      }
    },

    // Rows ------------------------------------------------------------------------------------
    _rows: function () {
      return Array.prototype.slice.call(this.list.querySelectorAll(':scope > [data-baris]'));
    },

    _controls: function (row) {
      return Array.prototype.slice.call(row.querySelectorAll('[data-isian]'));
    },

    _title: function (row) {
      var first = row.querySelector('[data-isian]');
      return first ? first.value.trim() : '';
    },

    _signature: function (row) {
      return this._controls(row).map(function (c) {
        return c.type === 'checkbox' ? c.checked : c.value.trim();
      }).join('\u0000');
    },

    _isFilled: function (row) {
      return this._signature(row) !== this.blank;
    },

    _fromTemplate: function (css) {
      var template = this.box.querySelector(css);
      return Array.prototype.slice.call(
        document.importNode(template.content, true).querySelectorAll('[data-baris]'));
    },

    // Numbers in names, ids and words follow the order. Leaving: the form is on its way already.
    _renumber: function (leaving) {
      var self = this, rows = this._rows(), name = this.name;
      var pattern = new RegExp('(^|[ -])' + name + '-(?:[0-9]+|__n__)(?=-|$)', 'g');
      rows.forEach(function (row, n) {
        if (row.id !== 'baris-' + name + '-' + n) {
          [row].concat(Array.prototype.slice.call(row.querySelectorAll('[id],[name],[for],[aria-describedby]')))
            .forEach(function (element) {
              NAMED.forEach(function (attribute) {
                var value = element.getAttribute(attribute);
                if (value) {
                  element.setAttribute(attribute, value.replace(pattern, '$1' + name + '-' + n));
                }
              });
            });
          row.querySelector('[data-nomor]').textContent = self.options.label + ' ' + (n + 1);
          var number = row.querySelector('[data-angka]');
          if (number) { number.textContent = n + 1; }
        }
        row.querySelector('[data-aksi="up"]').disabled = n === 0;
        row.querySelector('[data-aksi="down"]').disabled = n === rows.length - 1;
      });
      this._tools(rows.length);
      this.box.querySelector('[data-jumlah]').textContent = this._fill(this.options.count, { n: rows.length });
      if (!leaving) { this._changed(); }
    },

    // What is for several rows shows with several.
    _tools: function (count) {
      this.box.querySelectorAll('[data-massal], [data-buka]').forEach(function (e) { e.hidden = count < 2; });
    },

    _changed: function () {
      this.box.dispatchEvent(new CustomEvent('satudata:baris', { bubbles: true }));
      $(this.form).trigger('change');  // CKAN's warning of unsaved changes
    },

    _fill: function (text, values) {
      return text.replace(/\{(\w+)\}/g, function (all, name) {
        return name in values ? values[name] : all;
      }).replace(/ +/g, ' ');
    },

    _say: function (text, values) {
      this.live.textContent = '';
      this.live.textContent = this._fill(text, values || {});
    },

    _number: function (row) {
      return this._rows().indexOf(row) + 1;
    },

    _focus: function (row) {
      var control = row.querySelector('[data-isian]:not([disabled])');
      (control || row).focus();
    },

    _insert: function (rows, before) {
      var self = this, room = this.options.most ? this.options.most - this._rows().length : Infinity;
      if (rows.length > room) {
        this._say(this.options.full, { n: this.options.most });
        rows = rows.slice(0, Math.max(0, room));
      }
      rows.forEach(function (row) { self.list.insertBefore(row, before || null); });
      if (!rows.length) { return false; }
      this._renumber();
      return true;
    },

    // Actions ---------------------------------------------------------------------------------
    _onClick: function (event) {
      var button = event.target.closest('button');
      if (!button || !this.box.contains(button)) { return; }
      var row = button.closest('[data-baris]'), act = button.dataset.aksi;
      if (act && row) {
        this['_' + act](row, button);
      } else if ('tambah' in button.dataset) {
        this._add();
      } else if ('tawar' in button.dataset) {
        this._take(button);
      } else if ('buka' in button.dataset) {
        this._unfold(button);
      } else if (button.dataset.terapkan) {
        this._applyAll(button.dataset.terapkan === 'semua');
      } else if ('standar' in button.dataset) {
        this._fromStandard(button);
      }
    },

    _add: function () {
      var row = this._fromTemplate('[data-cetakan]')[0];
      if (this._insert([row])) {
        this._focus(row);
        this._say(this.options.added, { n: this._number(row) });
      }
    },

    _take: function (button) {
      var rows = this._fromTemplate('[data-tawaran-baris]');
      if (this._insert(rows)) {
        button.closest('[data-tawaran]').remove();
        this._focus(rows[0]);
        this._say(this.options.added, { n: this._number(rows[0]) });
      }
    },

    _move: function (row, before, button) {
      this.list.insertBefore(row, before);
      this._renumber();
      this._say(this.options.moved, {
        name: this._title(row) || this.options.label, n: this._number(row), count: this._rows().length
      });
      if (button) {
        // At the end of the list its button is off; the other one keeps the focus in the row.
        (button.disabled ? row.querySelector('[data-aksi]:not([disabled])') : button).focus();
      }
    },

    _up: function (row, button) {
      if (row.previousElementSibling) { this._move(row, row.previousElementSibling, button); }
    },

    _down: function (row, button) {
      if (row.nextElementSibling) { this._move(row, row.nextElementSibling.nextElementSibling, button); }
    },

    _copy: function (row) {
      var copy = row.cloneNode(true), values = this._controls(row), unique = this.options.unique;
      // cloneNode takes attributes, not what was typed or chosen.
      this._controls(copy).forEach(function (control, i) {
        control.value = values[i].value;
        control.checked = values[i].checked;
        if (control.dataset.isian === unique) { control.value = ''; }
      });
      copy.querySelectorAll('.err').forEach(function (e) { e.remove(); });
      copy.querySelectorAll('.is-err').forEach(function (e) { e.classList.remove('is-err'); });
      copy.querySelectorAll('[aria-invalid]').forEach(function (e) { e.removeAttribute('aria-invalid'); });
      copy.id = '';
      if (this._insert([copy], row.nextElementSibling)) {
        this._retitle(copy);
        this._focus(copy);
        this._say(this.options.added, { n: this._number(copy) });
      }
    },

    _remove: function (row) {
      var self = this, n = this._number(row), name = this._title(row), filled = this._isFilled(row);
      var next = row.nextElementSibling, after = next || row.previousElementSibling;
      row.remove();
      this._renumber();
      this.undoBox.textContent = '';
      this._say(this.options.removed, { n: n, name: name });
      if (!filled) {
        (after || this.box.querySelector('[data-tambah]')).focus();
        return;
      }
      // What was filled comes back with one key.
      var undo = document.createElement('button');
      undo.type = 'button';
      undo.className = 'btn btn-text';
      undo.textContent = this._fill(this.options.removed, { n: n, name: name }) + ' ' + this.options.undo;
      undo.addEventListener('click', function (event) {
        event.stopPropagation();
        self.undoBox.textContent = '';
        row.id = '';
        self._insert([row], next && next.isConnected ? next : null);
        self._focus(row);
        self._say(self.options.restored, { n: self._number(row) });
      });
      this.undoBox.appendChild(undo);
      undo.focus();
    },

    _unfold: function (button) {
      var open = button.getAttribute('aria-pressed') !== 'true';
      button.setAttribute('aria-pressed', open);
      this.list.querySelectorAll('details').forEach(function (e) { e.open = open; });
    },

    _set: function (control, value) {
      if (control.value === value) { return false; }
      control.value = value;
      return control.value === value;
    },

    _applyAll: function (replace) {
      var self = this, touched = 0, values = {};
      this.box.querySelectorAll('[data-semua]').forEach(function (control) {
        if (control.value.trim()) { values[control.dataset.semua] = control.value.trim(); }
      });
      this._rows().forEach(function (row) {
        var changed = false;
        self._controls(row).forEach(function (control) {
          var name = control.dataset.isian;
          if (name in values && (replace || !control.value.trim())) {
            changed = self._set(control, values[name]) || changed;
          }
        });
        touched += changed;
      });
      this._say(this.options.applied, { n: touched });
      this._changed();
    },

    // Empty items of an indicator from the dataset's Standar Data, which has the same names.
    _fromStandard: function (button) {
      var self = this, row = button.closest('[data-baris]'), taken = 0;
      this._controls(row).forEach(function (control) {
        var source = self.form.elements[control.dataset.isian];
        if (!source) { return; }
        if (control.type === 'checkbox') {
          var box = Array.prototype.slice.call(source.length === undefined ? [source] : source)
            .filter(function (s) { return s.value === control.value; })[0];
          if (box && box.checked && !control.checked) { control.checked = true; taken += 1; }
        } else if (!control.value.trim() && source.value && self._set(control, source.value)) {
          taken += 1;
        }
      });
      row.querySelectorAll('details').forEach(function (e) { e.open = true; });
      this._say(this.options.filled, { n: taken });
      this._changed();
    },

    // Typing ----------------------------------------------------------------------------------
    _onInput: function (event) {
      var row = event.target.closest && event.target.closest('[data-baris]');
      if (!row || !event.target.dataset.isian) { return; }
      var guess = event.target.closest('.sd-cell').querySelector('[data-dugaan]');
      if (guess) { guess.remove(); }
      if (event.target === row.querySelector('[data-isian]')) { this._retitle(row); }
    },

    _retitle: function (row) {
      var title = this._title(row);
      row.querySelector('[data-judul]').textContent = title ? ': ' + title : '';
    },

    // A row that was added and left as it came is none.
    _dropUntouched: function () {
      var self = this, rows = this._rows().filter(function (row) { return !self._isFilled(row); });
      rows.forEach(function (row) { row.remove(); });
      if (rows.length) { this._renumber(true); }
    },

    // Dragging --------------------------------------------------------------------------------
    _drag: function () {
      var self = this, dragged = null;
      this.list.addEventListener('dragstart', function (event) {
        if (!event.target.closest || !event.target.closest('[data-seret]')) { return; }
        dragged = event.target.closest('[data-baris]');
        event.dataTransfer.effectAllowed = 'move';
        event.dataTransfer.setData('text/plain', '');
        event.dataTransfer.setDragImage(dragged, 0, 0);
        dragged.classList.add('is-dragged');
      });
      this.list.addEventListener('dragover', function (event) {
        var over = dragged && event.target.closest('[data-baris]');
        if (!over) { return; }
        event.preventDefault();
        if (over === dragged || over.parentNode !== self.list) { return; }
        var box = over.getBoundingClientRect();
        var below = event.clientY > box.top + box.height / 2;
        self.list.insertBefore(dragged, below ? over.nextElementSibling : over);
      });
      this.list.addEventListener('drop', function (event) { event.preventDefault(); });
      this.list.addEventListener('dragend', function () {
        if (!dragged) { return; }
        dragged.classList.remove('is-dragged');
        self._move(dragged, dragged.nextElementSibling);
        dragged = null;
      });
    }
  };
});
