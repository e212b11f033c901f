#include "nn/place.h"

#include "chain/pointer.h"

tt_status tt_place_make(const tt_place *place, tt_op_number op, const tt_value *args, size_t n_args, tt_node **head,
                        tt_error *error) {
  if (place->ops != NULL && place->ops->make != NULL) return place->ops->make(place->host, op, args, n_args, head, error);
  tt_node *results[TT_MAX_RESULTS];
  size_t n_results;
  TT_TRY(tt_hook_call(place->hook, op, args, n_args, NULL, 0, results, &n_results, error));
  *head = results[0];
  return TT_OK;
}

/* NULL: here. */
static tt_location *location_of(tt_node *head) {
  tt_node *tail = tt_node_tail(head);
  return tt_node_is_pointer(tail) ? tt_pointer_location(tail) : NULL;
}

bool tt_place_is_same(tt_node *a, tt_node *b) { return location_of(a) == location_of(b); }

tt_status tt_place_bring(const tt_place *place, tt_node *head, tt_node *beside, tt_error *error) {
  if (tt_place_is_same(head, beside)) return TT_OK;
  if (place->ops != NULL && place->ops->bring != NULL) return place->ops->bring(place->host, head, beside, error);
  tt_location *from = location_of(head), *to = location_of(beside);
  return tt_fail(error, TT_ERR_LOCATION, "a tensor is at %s and is needed at %s: move it there",
                 from == NULL ? place->hook->here : from->id, to == NULL ? place->hook->here : to->id);
}

bool tt_place_begin_quiet(const tt_place *place) {
  tt_hook *hook = place->hook;
  bool was_recording = hook->is_recording;
  hook->is_recording = false;
  return was_recording;
}

void tt_place_end_quiet(const tt_place *place, bool was_recording) { place->hook->is_recording = was_recording; }
