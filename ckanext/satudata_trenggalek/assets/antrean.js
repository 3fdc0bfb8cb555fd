// The bar of the queue counts what is ticked, and appears with it; one box ticks all.
// Without JS the bar is there from the beginning.
ckan.module('satudata-antrean', function ($) {
  return {
    initialize: function () {
      var form = this.el, all = form.find('[data-semua]'), boxes = form.find('input[name=pilih]');
      var bar = form.find('.sd-bulk'), told = bar.find('[data-jumlah]'), words = told.data('jumlah');
      function show() {
        var on = boxes.filter(':checked');
        boxes.each(function () { $(this).closest('tr').toggleClass('is-on', this.checked); });
        bar.prop('hidden', !on.length);
        told.text(words.replace('{n}', on.length));
        all.prop({ checked: on.length === boxes.length, indeterminate: on.length > 0 && on.length < boxes.length });
      }
      all.prop('hidden', false).on('change', function () { boxes.prop('checked', this.checked); show(); });
      boxes.on('change', show);
      bar.find('[data-batal]').prop('hidden', false).on('click', function () {
        boxes.prop('checked', false); show(); all.trigger('focus');
      });
      show();
      // Back and forward bring boxes back as they were.
      $(window).on('pageshow', show);
    }
  };
});
