"""DWPose (Yang et al., ICCV-W 2023): body, feet, face and hands, by ONNX files and rtmlib."""
