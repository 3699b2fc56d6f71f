"""Three grades of knowledge about a callable: known harmless by exact name and use, known dangerous, unknown.

The lists ship with the tool and do not depend on what is installed on the scanning machine.
"""

from weighbridge.detect.knowledge.grades import Grade, Knowledge, Standing, Use

__all__ = ["Grade", "Knowledge", "Standing", "Use"]
