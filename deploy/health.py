"""Exit 0 when an address answers 200: the containers' health check.

    python health.py http://mlflow:5000/api/2.0/mlflow/experiments/search?max_results=1

An MLflow server that has a password is asked with MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD. Needs
nothing but Python, so that it starts in milliseconds.
"""

import base64
import os
import sys
import urllib.error
import urllib.request

TIMEOUT = 8  # seconds, less than a container's health check may take


def main(address: str) -> int:
    """Ask once.

    Returns:
        The exit status: 0 where the answer is 200, 1 where it is another or none comes; why goes to stderr.
    """
    request = urllib.request.Request(address)  # noqa: S310 - the address is in docker-compose.yml
    if password := os.environ.get("MLFLOW_TRACKING_PASSWORD"):
        user = os.environ.get("MLFLOW_TRACKING_USERNAME", "admin")
        word = base64.b64encode(f"{user}:{password}".encode()).decode()
        request.add_header("Authorization", f"Basic {word}")
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT):  # noqa: S310
            return 0
    except urllib.error.HTTPError as error:
        sys.stderr.write(f"{address}: {error.code} {error.read(300).decode(errors='replace')}\n")
    except OSError as error:
        sys.stderr.write(f"{address}: {error}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
