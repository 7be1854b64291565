"""Commands from the portal: forms for operators, each confirmed once and executed at most once."""
