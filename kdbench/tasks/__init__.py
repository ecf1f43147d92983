"""Tasks: data with labels, declared without torch; decoding and batches beside them."""
