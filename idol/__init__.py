"""IDOL: unified dual-modal latent diffusion for joint human video and depth generation."""
