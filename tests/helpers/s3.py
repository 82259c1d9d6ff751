"""A real S3 server of this machine (moto), for tests."""

from contextlib import contextmanager

import boto3
import pytest
from moto.server import ThreadedMotoServer
from s3fs import S3FileSystem

from tests.helpers.launches import free_ports


@contextmanager
def bucket_of(name):
    """A client of a server with a bucket of that name; this process's environment leads to it, and that of every
    process that it starts. s3fs keeps clients that know another server: they go, before and after."""
    (port,) = free_ports(1)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=port, verbose=False)
    server.start()
    settings = {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}", "AWS_DEFAULT_REGION": "us-east-1", "no_proxy": "*"}
    settings |= {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
    S3FileSystem.clear_instance_cache()
    try:
        with pytest.MonkeyPatch.context() as patch:
            for variable, value in settings.items():
                patch.setenv(variable, value)
            client = boto3.client("s3")
            client.create_bucket(Bucket=name)
            yield client
    finally:
        S3FileSystem.clear_instance_cache()
        server.stop()
