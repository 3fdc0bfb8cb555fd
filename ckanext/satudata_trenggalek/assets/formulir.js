// A form of the portal: items that do not apply are hidden and not sent (data-tampil), the rail tells
// how far each step is (data-wajib), a draft comes back to the step it was saved at. Conditions are
// those of the schema, as JSON: {field, in | not | pola}. Without JS everything is shown.
ckan.module('satudata-formulir', function ($) {
  'use strict';

  var each = function (list, f) { Array.prototype.forEach.call(list, f); };

  return {
    options: { progress: '', missing: '', complete: '', all: '', address: '', change: '' },

    initialize: function () {
      var self = this, form = this.form = this.el[0];
      // CKAN's script has no Indonesian words for the preview of the address.
      this.sandbox.subscribe('slug-preview-created', function (preview) {
        $(preview).find('strong').text(self.options.address);
        $(preview).find('button').text(self.options.change);
      });
      this._address();
      this._apply(form);
      this._recount();
      ['input', 'change'].forEach(function (name) {
        form.addEventListener(name, function (event) {
          var row = event.target.closest && event.target.closest('[data-baris]');
          // CKAN's own change event of the whole form says nothing new.
          if (event.target === form) { return; }
          self._apply(row || form);
          self._later();
        });
      });
      form.addEventListener('satudata:baris', function (event) {
        each(event.target.querySelectorAll('[data-baris]'), function (row) { self._apply(row); });
        self._later();
      });
      form.addEventListener('focusin', function (event) {
        var step = event.target.closest('[data-langkah]');
        if (step) { self.step = step.id; }
      });
      form.addEventListener('submit', function (event) {
        // A redirect keeps the fragment of the address that was asked for.
        if (event.submitter && event.submitter.value === 'draf' && self.step) {
          form.action = (form.getAttribute('action') || window.location.pathname + window.location.search)
            .split('#')[0] + '#' + self.step;
        }
      });
      document.addEventListener('click', function (event) {
        var link = event.target.closest && event.target.closest('a[href^="#"]');
        if (link) { self._open(link.getAttribute('href').slice(1), event); }
      });
      var summary = form.querySelector('.sd-errors');
      if (summary) { summary.focus(); } else { this._open(window.location.hash.slice(1)); }
    },

    // The address of a kegiatan is made from its title and its year: there is one for each year.
    _address: function () {
      var self = this, fields = this.form.elements, typed = false;
      if (!fields.tahun_kegiatan || !fields.name || fields.name.value) { return; }
      this.sandbox.subscribe('slug-preview-modified', function () { typed = true; });
      [fields.title, fields.tahun_kegiatan].forEach(function (field) {
        field.addEventListener('input', function () {
          setTimeout(function () {  // after CKAN's script, which knows the title alone
            if (!typed) { self.sandbox.publish('slug-target-changed', fields.title.value + ' ' + fields.tahun_kegiatan.value); }
          }, 0);
        });
      });
    },

    // Unfold what an address points into, and put the focus there.
    _open: function (id, event) {
      var target = id && document.getElementById(id), box = target;
      if (!target || !this.form.contains(target)) { return; }
      if (target.matches('[data-langkah]')) {
        each(target.querySelectorAll(':scope > details'), function (e) { e.open = true; });
      }
      while ((box = box.parentElement) && box !== this.form) {
        if (box.tagName === 'DETAILS') { box.open = true; }
      }
      if (!target.matches('[data-langkah]')) {
        target.focus();
        target.scrollIntoView({ block: 'center' });
        if (event) { event.preventDefault(); }
      }
    },

    _rules: function (text) {
      return text === 'true' ? [] : JSON.parse(text);
    },

    // What is filled in or chosen for a field, in its row or in the form.
    _values: function (name, row) {
      var css = row ? '[data-isian="' + name + '"]' : '[name="' + name + '"]', found = [];
      each((row || this.form).querySelectorAll(css), function (control) {
        var chosen = control.type === 'checkbox' || control.type === 'radio' ? control.checked : true;
        if (!control.disabled && chosen && control.value.trim()) { found.push(control.value.trim()); }
      });
      return found;
    },

    _holds: function (text, row) {
      var self = this;
      return this._rules(text).every(function (rule) {
        var values = self._values(rule.field, row);
        if (rule.in) { return values.some(function (v) { return rule.in.indexOf(v) >= 0; }); }
        if ('not' in rule) { return values.length > 0 && values.indexOf(rule.not) < 0; }
        if (rule.pola) {
          return values.some(function (v) {
            try { return new RegExp('^(?:' + rule.pola + ')$').test(v); } catch (error) { return true; }
          });
        }
        return values.length > 0;
      });
    },

    _apply: function (scope) {
      var self = this, inRow = scope.matches('[data-baris]');
      each(scope.querySelectorAll('[data-tampil]'), function (element) {
        var row = element.closest('[data-baris]');
        if (!inRow && row && !element.closest('[hidden]') && self.started) { return; }
        var shown = self._holds(element.dataset.tampil, row);
        element.hidden = !shown;
        each(element.querySelectorAll('input, select, textarea'), function (control) {
          control.disabled = !shown || Boolean(control.parentElement.closest('[data-tampil][hidden]'));
        });
      });
      if (!inRow) {
        each(this.form.querySelectorAll('[data-langkah]'), function (step) {
          var items = step.querySelectorAll('[data-item]');
          var empty = items.length && !Array.prototype.some.call(items, function (e) { return !e.hidden; });
          step.hidden = Boolean(empty);
          self._rail(step, function (entry) { entry.hidden = step.hidden; });
        });
      }
      this.started = true;
    },

    _rail: function (step, f) {
      var link = document.querySelector('.sd-rail a[href="#' + step.id + '"]');
      if (link) { f(link.parentElement); }
    },

    // Progress --------------------------------------------------------------------------------
    _later: function () {
      clearTimeout(this.timer);
      this.timer = setTimeout(this._recount.bind(this), 150);
    },

    _fill: function (text, values) {
      return text.replace(/\{(\w+)\}/g, function (all, name) {
        return name in values ? values[name] : all;
      });
    },

    _isFilled: function (element) {
      return Array.prototype.some.call(element.querySelectorAll('input, select, textarea'), function (c) {
        if (c.disabled || c.dataset.semua || c.name.slice(-8) === '-urutan') { return false; }
        if (c.type === 'checkbox' || c.type === 'radio') { return c.checked && c.value !== ''; }
        if (c.type === 'hidden' && c.name !== 'url') { return false; }
        return c.value.trim() !== '';
      });
    },

    _recount: function () {
      var self = this, sum = { n: 0, m: 0 };
      each(this.form.querySelectorAll('[data-langkah]'), function (step) {
        var now = self._count(step);
        sum.n += now.n;
        sum.m += now.m;
        var words = now.m ? self._fill(self.options.progress, now) : '';
        var done = now.m > 0 && now.n === now.m;
        each(step.querySelectorAll('[data-lengkap]'), function (e) { e.hidden = !done; });
        self._rail(step, function (entry) {
          if (entry.classList.contains('is-err')) { return; }
          var small = entry.querySelector('[data-kemajuan]');
          if (small && words) { small.textContent = words; }
          entry.classList.toggle('is-done', done);
        });
      });
      each(this.form.querySelectorAll('[data-kemajuan-semua]'), function (e) {
        e.textContent = sum.m ? self._fill(self.options.all, sum) : '';
      });
    },

    _count: function (step) {
      var self = this, total = { n: 0, m: 0 };
      if (step.hidden) { return total; }
      each(step.querySelectorAll('[data-wajib]'), function (element) {
        var block = element.querySelector('[data-berulang]');
        if (element.closest('[hidden]') || (block && block.querySelector('[data-daftar] [data-baris]'))) { return; }
        var row = element.closest('[data-baris]');
        if (!self._holds(element.dataset.wajib, row)) { return; }
        total.m += 1;
        total.n += !block && self._isFilled(element);
      });
      each(step.querySelectorAll('[data-baris]'), function (row) {
        var place = row.querySelector('[data-kurang]'), empty = 0;
        if (!place) { return; }
        each(row.querySelectorAll('details [data-wajib]'), function (cell) {
          empty += !cell.hidden && self._holds(cell.dataset.wajib, row) && !self._isFilled(cell);
        });
        place.textContent = empty ? self._fill(self.options.missing, { n: empty }) : self.options.complete;
      });
      return total;
    }
  };
});
