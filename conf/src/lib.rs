//! The configuration of gs: every option declared once, loaded in layers, rendered to help and reference.
