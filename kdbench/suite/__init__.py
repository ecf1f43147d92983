"""A suite: YAML read with its lines, validated strictly, as one frozen value. Knows no plan and no stage."""
