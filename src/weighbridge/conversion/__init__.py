"""The door to conversion: weights of any format into safetensors, and nothing of the input is executed."""

from weighbridge.conversion.file import Conversion, convert_file
from weighbridge.conversion.folder import FolderConversion, convert_folder

__all__ = ["Conversion", "FolderConversion", "convert_file", "convert_folder"]
