"""A suite: YAML read with its lines, validated strictly, as one frozen value. Knows no plan and no stage.

form has the keys of a suite file as types, schema gives them to editors. yaml_lines reads the file, and reader makes a
Suite (cases.py) of it, with the help of part_reader, network_reader, case_reader and grids; faults gathers what is
wrong. checks and orders say what must hold between entries. targets, limits and tolerances are what a suite says of
devices and of the gate; selection is a part of a suite.
"""
