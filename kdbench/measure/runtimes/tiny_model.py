"""A tiny ONNX model, as bytes, for trials of runtimes: whoever tries one may have no onnx to write it."""

from __future__ import annotations

import base64
import zlib

TINY_ONNX = zlib.decompress(
    base64.b64decode(
        "eNrtkbFOAkEQhuff2+Q2E5RjNCbGbsurrDUBxAQSKmNpt8dtjGG5M3KA1/EWtjyCTyCv5oK+gL0z+f7i/5Mp/jGp0M2HZst4Z8wF"
        "zur7ulrnPdavrlwO8bM7pNxhOEFh9aMPK75kFIKZ7U1CXbhwt/Zv7tk/1HXgLmMmKG06Dq5pfHUwSsZG0Fo98YuF6OalavNPZbRR"
        "JjFJhhHm050iGu6JKLL9ouNs+1EG0R/8Z7TPb2Njx7Y20+u/Hnu6ik+WCz43kIyVQURFzIHijNHKKXdiaH7DZKSZspNvVn5aWQ=="
    )
)
"""Conv, ReLU, GlobalAveragePool, Flatten, Gemm: `x` of shape (1, 2, 8, 8) to `y` of shape (1, 3); opset 13."""

TINY_SHAPE = (1, 2, 8, 8)
