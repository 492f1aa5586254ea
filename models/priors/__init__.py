"""What anatomy knows before any scan: an atlas of healthy tissue, its pose on this head, and their meeting."""
