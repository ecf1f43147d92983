"""Controls: what a gain is worth without a teacher."""
