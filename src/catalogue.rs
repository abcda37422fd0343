//! units, divisions, areas and columns, as data.
