"""Does what its lines of input ask for, and answers each in a line of JSON."""

import json
import sys

from tokens import Token

token = Token(**json.loads(sys.argv[1]))
for line in sys.stdin:
    word, *rest = json.loads(line)
    try:
        print(json.dumps(getattr(token, word)(*rest)), flush=True)
    except Exception as error:
        print(json.dumps({"error": str(error)}), flush=True)
