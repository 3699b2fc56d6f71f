"""The door to conversion: weights of any format into safetensors, and nothing of the input is executed."""

from weighbridge.convert.file import Conversion, convert_file
from weighbridge.convert.folder import FolderConversion, convert_folder

__all__ = ["Conversion", "FolderConversion", "convert_file", "convert_folder"]
