// Upload of a resource's file with progress, on CKAN's resource form. Without JS the form is sent as
// it is. Sits on an element around the file input; its texts are data-module-* attributes.
ckan.module('satudata-unggah', function ($) {
  'use strict';

  return {
    options: {
      limit: -1,        // bytes; -1: none
      tooLarge: '',     // {size} {limit}
      progress: '',     // {percent} {sent} {total} {rate}
      saving: '',
      label: '',        // of the progress bar
      cancel: '',
      cancelled: '',
      failed: '',       // no answer or an error page: {status}
      errors: '.sd-errors'  // error summary of the form, as the server renders it
    },

    initialize: function () {
      this.form = this.el.closest('form');
      this.input = this.el.find('input[type="file"]').first();
      if (!this.form.length || !this.input.length || !window.FormData) { return; }
      $.proxyAll(this, /_on/);
      this.error = $('<p class="error-block" role="alert" hidden>').insertAfter(this.input);
      // Beside the button that was pressed, so that it is in sight.
      this.box = this._box().insertBefore(this.form.find('.form-actions').first());
      this.input.on('change', this._onChange);
      this.form.on('submit', this._onSubmit);
    },

    teardown: function () {
      if (this.xhr) { this.xhr.abort(); }
      if (this.form) { this.form.off('submit', this._onSubmit); }
    },

    _box: function () {
      var box = $('<div class="satudata-unggah mt-2" hidden>');
      this.bar = $('<div class="progress-bar">');
      this.meter = $('<div class="progress" role="progressbar" aria-valuemin="0" aria-valuemax="100">')
        .attr('aria-label', this.options.label).append(this.bar);
      // Seen at every step, read aloud now and then.
      this.text = $('<p class="mb-1" aria-hidden="true">');
      this.live = $('<p class="visually-hidden" aria-live="polite">');
      this.stop = $('<button type="button" class="btn btn-secondary btn-sm mt-2">')
        .text(this.options.cancel).on('click', this._onCancel);
      return box.append(this.text, this.meter, this.live, this.stop);
    },

    _file: function () {
      return this.input[0].files && this.input[0].files[0];
    },

    _fill: function (text, values) {
      return text.replace(/\{(\w+)\}/g, function (all, name) {
        return name in values ? values[name] : all;
      });
    },

    _size: function (bytes) {
      var units = ['B', 'kB', 'MB', 'GB'], i = 0;
      while (bytes >= 1000 && i < units.length - 1) { bytes /= 1000; i += 1; }
      return bytes.toLocaleString(document.documentElement.lang || 'id', {
        maximumFractionDigits: i ? 1 : 0
      }) + ' ' + units[i];
    },

    _say: function (message) {
      this.error.text(message).prop('hidden', !message);
      this.input.attr('aria-invalid', message ? 'true' : null);
    },

    _tooLarge: function () {
      var file = this._file(), limit = Number(this.options.limit);
      if (!file || limit < 0 || file.size <= limit) { return ''; }
      return this._fill(this.options.tooLarge, {
        size: this._size(file.size), limit: this._size(limit)
      });
    },

    _onChange: function () {
      this._say(this._tooLarge());
    },

    _onSubmit: function (event) {
      var file = this._file(), message = this._tooLarge();
      if (!file || event.isDefaultPrevented()) { return; }
      event.preventDefault();
      if (message) {
        this._fail(message);
        return;
      }
      var submitter = event.originalEvent && event.originalEvent.submitter;
      var data = new FormData(this.form[0]), xhr = this.xhr = new XMLHttpRequest();
      if (submitter && submitter.name) { data.append(submitter.name, submitter.value); }
      this._say('');
      this.form.find('.satudata-unggah-galat').remove();
      this.box.prop('hidden', false);
      this.stop.prop('disabled', false);
      this.started = this.spoken = Date.now();
      this._show(0, file.size);
      xhr.upload.onprogress = this._onProgress;
      xhr.upload.onload = this._onSent;
      xhr.onload = this._onLoad;
      xhr.onerror = xhr.ontimeout = this._onError;
      xhr.onabort = this._onAbort;
      // A field named "action" would hide form.action.
      xhr.open('POST', this.form.attr('action') || window.location.href);
      xhr.send(data);
    },

    _show: function (sent, total) {
      var percent = total ? Math.floor(100 * sent / total) : 0;
      var seconds = (Date.now() - this.started) / 1000;
      var text = this._fill(this.options.progress, {
        percent: percent,
        sent: this._size(sent),
        total: this._size(total),
        rate: this._size(seconds > 0 ? sent / seconds : 0)
      });
      this.bar.css('width', percent + '%');
      this.meter.attr({ 'aria-valuenow': percent, 'aria-valuetext': text });
      this.text.text(text);
      if (sent === 0 || Date.now() - this.spoken > 10000) {
        this.spoken = Date.now();
        this.live.text(text);
      }
    },

    _onProgress: function (event) {
      if (event.lengthComputable) { this._show(event.loaded, event.total); }
    },

    _onSent: function () {
      this.bar.css('width', '100%').addClass('progress-bar-striped progress-bar-animated');
      this.meter.attr({ 'aria-valuenow': 100, 'aria-valuetext': this.options.saving });
      this.text.add(this.live).text(this.options.saving);
      // From here on the file may be saved already.
      this.stop.prop('disabled', true);
    },

    _onLoad: function () {
      var xhr = this.xhr;
      var page = new DOMParser().parseFromString(xhr.responseText, 'text/html');
      if (xhr.status === 413) {
        var file = this._file();
        this._fail(this._fill(this.options.tooLarge, {
          size: this._size(file.size), limit: this._size(Number(this.options.limit))
        }));
      } else if (xhr.status >= 400) {
        this._fail(this._fill(this.options.failed, { status: xhr.status }));
      } else if (page.querySelector('form#resource-edit') &&
                 page.querySelector('form#resource-edit').querySelector(this.options.errors)) {
        this._refused(page);
      } else {
        this._goOn(page, xhr.responseURL);
      }
    },

    // A new table goes on to its variables; XHR hides the part of an address behind "#".
    _goOn: function (page, url) {
      if (page.querySelector('form#resource-edit [data-berulang]')) { url += '#langkah-variabel'; }
      if (url.split('#')[0] !== window.location.href.split('#')[0]) {
        window.location.assign(url);
      } else {
        window.history.replaceState(null, '', url);
        window.location.reload();
      }
    },

    // The server's error summary above the form as it stands: typed text and the chosen file stay.
    _refused: function (page) {
      var summary = page.querySelector('form#resource-edit').querySelector(this.options.errors);
      this._reset();
      this.form.find(this.options.errors).remove();
      $(document.importNode(summary, true)).addClass('satudata-unggah-galat')
        .attr({ role: 'alert', tabindex: '-1' }).prependTo(this.form).trigger('focus');
    },

    _fail: function (message) {
      this._reset();
      this._say(message);
      this.input.trigger('focus');
    },

    _reset: function () {
      var form = this.form;
      this.xhr = null;
      this.box.prop('hidden', true);
      this.bar.css('width', 0).removeClass('progress-bar-striped progress-bar-animated');
      // CKAN's basic-form disables them in a timeout of its own.
      setTimeout(function () { form.find('button[name="save"]').attr('disabled', false); }, 0);
    },

    _onError: function () {
      this._fail(this._fill(this.options.failed, { status: 0 }));
    },

    _onAbort: function () {
      this._fail(this.options.cancelled);
    },

    _onCancel: function () {
      if (this.xhr) { this.xhr.abort(); }
    }
  };
});
