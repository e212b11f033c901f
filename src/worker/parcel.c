#include "chain/variable.h"
#include "worker/internal.h"

tt_status tt_parcel_check_policy(tt_node *head, const tt_peer *asker, tt_error *error) {
  tt_node *grad = tt_node_gradient(head).grad;
  if (asker == NULL || grad == NULL || !tt_local_is_withheld(tt_node_tail(grad))) return TT_OK;
  return tt_fail(
      error, TT_ERR_POLICY,
      "its gradient is made from data that must not leave, and would go with it; set its grad to null first, or get a "
      "copy of its data");
}

tt_parcel tt_parcel_of(tt_node *head, bool with_gradients) {
  tt_parcel parcel = {.tensor = tt_local_tensor(tt_node_tail(head)), .chain = head->child};
  if (!with_gradients || parcel.tensor == NULL) return parcel;
  tt_gradient_view gradient = tt_node_gradient(head);
  parcel.requires_grad = gradient.requires_grad && gradient.is_leaf;
  if (gradient.grad != NULL) parcel.gradient = tt_local_tensor(tt_node_tail(gradient.grad));
  return parcel;
}

tt_status tt_parcel_check(tt_node *head, const char *verb, tt_error *error) {
  tt_gradient_view gradient = tt_node_gradient(head);
  if (!gradient.requires_grad || gradient.is_leaf) return TT_OK;
  return tt_fail(error, TT_ERR_STATE,
                 "%s: the tensor was computed (%s), and its history would be lost; %s what detach() answers", verb,
                 gradient.grad_fn, verb);
}

tt_node *tt_parcel_open(tt_worker *worker, tt_tensor *take_tensor, tt_tensor *take_gradient, bool requires_grad,
                        tt_error *error) {
  tt_node *local = tt_local_new(take_tensor, error);
  if (local == NULL || (take_gradient == NULL && !requires_grad)) {
    tt_tensor_unref(take_gradient);
    return local;
  }
  tt_node *gradient = NULL;
  if (take_gradient != NULL) {
    tt_node *below = tt_local_new(take_gradient, error);
    gradient = below == NULL ? NULL : tt_head_new(below, error);
    if (gradient == NULL) {
      tt_node_unref(local);
      return NULL;
    }
  }
  tt_node *variable = tt_variable_new_leaf(local, requires_grad, gradient, worker->store.ledger, error);
  tt_node_unref(gradient);
  return variable;
}
