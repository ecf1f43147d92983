"""Predict with the model beside this file, prepared and run as when it was measured: python predict.py --help.

Needs numpy and onnxruntime; Pillow for images, tokenizers for texts, soundfile for FLAC.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from kdbench.handover.predicting.command import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
