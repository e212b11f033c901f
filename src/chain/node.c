#include "chain/node.h"

#include "base/alloc.h"

static size_t bytes_of(const tt_kind *kind) { return kind->n_bytes > 0 ? kind->n_bytes : sizeof(tt_node); }

tt_node *tt_node_new(const tt_kind *kind, const tt_meta *meta, tt_node *take_child, tt_error *error) {
  tt_node *node = tt_alloc_object(bytes_of(kind));
  if (node == NULL) {
    tt_node_unref(take_child);
    tt_fail(error, TT_ERR_MEMORY, "no memory for a %s", kind->name);
    return NULL;
  }
  tt_meta_copy(&node->operand.meta, meta);
  node->refs = 1;
  node->kind = kind;
  node->child = take_child;
  return node;
}

tt_node *tt_node_ref(tt_node *node) {
  node->refs++;
  return node;
}

void tt_node_unref(tt_node *node) {
  while (node != NULL && --node->refs == 0) {
    tt_node *child = node->child;
    if (node->kind->release != NULL) node->kind->release(node);
    tt_free_object(node, bytes_of(node->kind));
    node = child;
  }
}

tt_node *tt_node_tail(tt_node *node) {
  while (node->child != NULL) node = node->child;
  return node;
}

void tt_chain_print(const tt_node *node, tt_buffer *text) {
  for (const tt_node *at = node; at != NULL; at = at->child) {
    if (at != node) tt_buffer_printf(text, " > ");
    tt_buffer_printf(text, "%s", at->kind == &tt_kind_head ? tt_dtype_tensor_class(at->operand.meta.dtype) : at->kind->name);
    if (at->kind->describe != NULL) at->kind->describe(at, text);
  }
}
