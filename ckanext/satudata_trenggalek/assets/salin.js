// Copies the text of the element named by data-module-target; the button stays hidden without JS.
ckan.module('satudata-salin', function ($) {
  return {
    options: { target: null, done: null },
    initialize: function () {
      if (!navigator.clipboard) { return; }
      var button = this.el, target = $(this.options.target), done = this.options.done;
      button.prop('hidden', false).on('click', function () {
        navigator.clipboard.writeText(target.text().replace(/\s+/g, ' ').trim()).then(function () {
          button.find('span').text(done);
        });
      });
    }
  };
});

// Prints the page; hidden without JS, where the browser's own menu does it.
ckan.module('satudata-cetak', function () {
  return {
    initialize: function () {
      this.el.prop('hidden', false).on('click', function () { window.print(); });
    }
  };
});
