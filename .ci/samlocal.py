"""Runs the bundle in the SAM CLI's containers, against the stand-ins of cmd/local."""

import contextlib
import http.server
import io
import ipaddress
import json
import os
import pathlib
import platform
import shutil
import socket
import subprocess
import tarfile
import tempfile
import threading
import time
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
ARCHITECTURE = "arm64" if platform.machine() in ("arm64", "aarch64") else "x86_64"

# Stands in for AWS's base image, which is hundreds of megabytes and needs a registry: SAM adds its own emulator of the
# Lambda runtime, which needs a shell, and the functions are static. They need certificates for what is not a stand-in.
BASE_IMAGE = "wechat-draftbox/lambda-base"
CERTIFICATES = "etc/ssl/certs/ca-certificates.crt"

ENVIRON = os.environ | {
    "SAM_CLI_TELEMETRY": "0",
    "CGO_ENABLED": "0", "GOFLAGS": "-trimpath -tags=lambda.norpc -ldflags=-s",  # as in the Makefile
}


class Failed(Exception):
    """What went wrong, for the person who called."""


def run(*command, **options):
    """Runs a command and returns its output. Failed, with what it said, if it fails."""
    done = subprocess.run([str(part) for part in command], cwd=ROOT, env=ENVIRON, capture_output=True, text=True,
                          stdin=options.pop("stdin", subprocess.DEVNULL), **options)
    if done.returncode:
        raise Failed(f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}".rstrip())
    return done.stdout


def missing(docker=True):
    """One line for each thing that is needed and not here."""
    lines = []
    programs = {"go": "https://go.dev/dl", "sam": "the SAM CLI: pip install aws-sam-cli"}
    if docker:
        programs["docker"] = "Docker: apt-get install docker.io"
    for program, hint in programs.items():
        if not shutil.which(program):
            lines.append(f"{program} is not installed ({hint})")
    if not docker:
        return lines
    if shutil.which("docker") and subprocess.run(["docker", "info"], capture_output=True).returncode:
        lines.append("no Docker engine answers (start it: systemctl start docker, or dockerd)")
    if not shutil.which("busybox") and not has_image(BASE_IMAGE):
        lines.append("busybox is not installed, of which the base image is made (apt-get install busybox-static)")
    return lines


def has_image(name):
    return bool(shutil.which("docker")) and \
        subprocess.run(["docker", "image", "inspect", name], capture_output=True).returncode == 0


def make_base_image():
    """Makes the base image where it is not there yet."""
    if has_image(BASE_IMAGE):
        return
    with tempfile.TemporaryFile() as file:
        with tarfile.open(fileobj=file, mode="w") as image:
            image.add(os.path.realpath(shutil.which("busybox")), "bin/busybox")
            for name in ("sh", "mv", "chmod"):
                link = tarfile.TarInfo(f"bin/{name}")
                link.type, link.linkname = tarfile.SYMTYPE, "busybox"
                image.addfile(link)
            temporary = tarfile.TarInfo("tmp")
            temporary.type, temporary.mode = tarfile.DIRTYPE, 0o1777
            image.addfile(temporary)
            if os.path.exists("/" + CERTIFICATES):
                image.add(os.path.realpath("/" + CERTIFICATES), CERTIFICATES)
        file.seek(0)
        run("docker", "import", "-", BASE_IMAGE, stdin=file)


def build(folder, architecture=ARCHITECTURE, function=None):
    """Builds the functions, or one of them, into a folder as SAM lays them out."""
    run("sam", "build", *([function] if function else []), "--build-dir", folder,
        "--parameter-overrides", f"Architecture={architecture}")


def local(command, *arguments, folder, env_vars):
    """The command line of `sam local`, on what build made. What stands in samconfig.toml holds too."""
    return ["sam", "local", command, *map(str, arguments), "--template-file", str(folder / "template.yaml"),
            "--config-file", str(ROOT / "samconfig.toml"), "--env-vars", str(env_vars),
            "--parameter-overrides", f"Architecture={ARCHITECTURE}",
            "--invoke-image", BASE_IMAGE, "--skip-pull-image"]


def resource_name(function):
    """The name in the template of the function in a folder: drafts is DraftsFunction."""
    return function.capitalize() + "Function"


def host():
    """The address of this machine that containers reach by the name host.docker.internal."""
    network = json.loads(run("docker", "network", "inspect", "bridge"))[0]["IPAM"]["Config"][0]
    gateway = network.get("Gateway") or str(next(ipaddress.ip_network(network["Subnet"]).hosts()))
    with socket.socket() as probe:
        try:
            probe.bind((gateway, 0))
        except OSError:  # the engine runs in a machine of its own, from where that name leads to the loopback address
            return "127.0.0.1"
    return gateway


def decoded(text):
    """The value of JSON, else the text."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def invoke(program, event, variables, timeout=60):
    """Runs a built function for one event without SAM and Docker: plays the Lambda Runtime API to it.

    Returns what it returned, and its log.
    """
    results, asked = [], threading.Event()

    class API(http.server.BaseHTTPRequestHandler):
        def do_GET(self):  # …/invocation/next
            if asked.is_set():  # nothing comes after the one event
                return
            asked.set()
            self.answer(200, event, {"Lambda-Runtime-Aws-Request-Id": "00000000-0000-4000-8000-000000000001",
                                     "Lambda-Runtime-Deadline-Ms": str(int((time.time() + timeout) * 1000)),
                                     "Lambda-Runtime-Invoked-Function-Arn": "arn:aws:lambda:us-east-1:123456789012:function:local"})

        def do_POST(self):  # …/invocation/ID/response or error, …/init/error
            results.append(self.rfile.read(int(self.headers["Content-Length"])) if "Content-Length" in self.headers else self.chunks())
            self.answer(202, b"")
            process.terminate()

        def chunks(self):
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            return body

        def answer(self, status, body, headers={}):
            self.send_response(status)
            for name, value in (headers | {"Content-Length": str(len(body))}).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), API) as api:
        threading.Thread(target=api.serve_forever, daemon=True).start()
        process = subprocess.Popen([program], env=variables | {
            "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{api.server_port}", "AWS_LAMBDA_FUNCTION_NAME": "local", "AWS_LAMBDA_LOG_FORMAT": "JSON",
            "AWS_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local",
        }, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        try:
            log, _ = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            log, _ = process.communicate()
        api.shutdown()
    if not results:
        raise Failed(f"{program} did not answer:\n{log}")
    return json.loads(results[0] or "null"), log


class Standins:
    """A simulated WeChat and a stand-in for AWS, with nothing in them but the example. Use it in a `with`.

    They listen on an address of this machine, and the functions reach it by the name host.
    """

    def __init__(self, program, folder, address, host="host.docker.internal", wechat_port=0, aws_port=0):
        self.env_vars = folder / "env.json"
        self.address, self.host = address, host
        self.process = subprocess.Popen(
            [program, "standins", "-wechat", f"{address}:{wechat_port}", "-aws", f"{address}:{aws_port}",
             "-host", host, "-env-vars", self.env_vars],
            cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)

    def __enter__(self):
        for _ in range(300):
            if self.process.poll() is not None:
                raise Failed(self.process.stderr.read().strip())
            with contextlib.suppress(FileNotFoundError, json.JSONDecodeError):
                self.variables = json.loads(self.env_vars.read_text())["Parameters"]
                return self
            time.sleep(0.1)
        self.__exit__()
        raise Failed("the stand-ins do not start")

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()
        self.process.stderr.close()

    def _get(self, variable, path, **request):
        url = self.variables[variable].replace(self.host, self.address) + path
        with urllib.request.urlopen(urllib.request.Request(url, **request), timeout=30) as answer:
            return json.load(io.TextIOWrapper(answer, "utf-8"))

    def wechat(self):
        """What the simulated WeChat tells of itself."""
        return self._get("WECHAT_API_BASE_URL", "/_sim/state")

    def aws(self, operation, **arguments):
        """A call to AWS, such as AmazonSSM.GetParameter."""
        return self._get("AWS_ENDPOINT_URL", "/", data=json.dumps(arguments).encode(),
                         headers={"X-Amz-Target": operation, "Content-Type": "application/x-amz-json-1.1"})

    def stored(self):
        """The ticket, and the items of both tables: those of the state table by pk/sk, tokens by tokens/appid."""
        found = {}
        with contextlib.suppress(urllib.error.HTTPError):  # there is none
            ticket = self.aws("AmazonSSM.GetParameter", Name="/wechat/draftbox/component-verify-ticket", WithDecryption=True)
            found["component-verify-ticket"] = decoded(ticket["Parameter"]["Value"])
        for variable, name in ("STATE_TABLE", "{pk}/{sk}"), ("TOKEN_TABLE", "tokens/{appid}"):
            for item in self.aws("DynamoDB_20120810.Scan", TableName=self.variables[variable])["Items"]:
                plain = {key: next(iter(value.values())) for key, value in item.items()}
                found[name.format(**plain)] = plain
        return found

    def waiting(self, variable):
        """How many messages stand in the queue of an environment variable."""
        return int(self.aws("AmazonSQS.GetQueueAttributes", QueueUrl=self.variables[variable],
                            AttributeNames=["ApproximateNumberOfMessages"])["Attributes"]["ApproximateNumberOfMessages"])
