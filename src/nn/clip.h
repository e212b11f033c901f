/*
 * clip: bounds gradients before a step, as torch.nn.utils does. It is given the gradients themselves, which are all at one place.
 */
#ifndef TT_NN_CLIP_H
#define TT_NN_CLIP_H

#include "nn/place.h"

/*
 * Scales the gradients (heads, changed in place) so that the norm of all their elements together is at most max_norm. *total: the norm before, a new
 * reference. Errors: TT_ERR_ARGUMENT (no gradients, a negative bound), TT_ERR_LOCATION, those of the ops.
 */
tt_status tt_clip_norm(const tt_place *place, tt_node *const *gradients, size_t n_gradients, double max_norm, double norm_type,
                       tt_node **total, tt_error *error);
/* Bounds each element by -most and most. */
tt_status tt_clip_value(const tt_place *place, tt_node *const *gradients, size_t n_gradients, double most, tt_error *error);

#endif
