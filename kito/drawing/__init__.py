"""A network before and after its reduction, as plain data and as a drawing of it."""
