"""What users of OpenPose must know before they use what it made."""

__all__ = ["NOTICE"]

NOTICE = (
    "OpenPose is licensed by Carnegie Mellon University for academic or non-profit, non-commercial "
    "research use only: mind that for everything made with its skeletons. --pose dwpose and "
    "--pose lite come without this restriction."
)
