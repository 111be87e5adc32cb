"""MiDaS, DPT-hybrid (Ranftl et al., ICCV 2021): relative depth of the whole frame."""
