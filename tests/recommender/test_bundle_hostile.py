"""Bundles made to do harm, each sealed with digests that fit, so that only the check it is aimed at can refuse it."""

from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from features.errors import BundleCorrupt, BundleIncompatible
from recommender.bundle import BundleContent, BundleMeta, open_bundle, write_bundle
from recommender.bundle_manifest import ArrayEntry, content_digest
from recommender.bundle_signature import public_key, sign
from recommender.contract import ArraySpec

KEY, OTHER_KEY = b"k" * 32, b"o" * 32
KNOWN = {"als.item_factors": ArraySpec("float32", 2), "items.item_key": ArraySpec("int64", 1)}
FACTORS = "als.item_factors.npy"
META = BundleMeta(
    name="rihla",
    feature_schema="f",
    journey_version="1",
    journey_digest="j",
    until=1,
    data_digest="d",
    created_at=2,
)


def genuine(root: Path) -> Path:
    arrays = {"als.item_factors": np.ones((4, 2), np.float32), "items.item_key": np.arange(4, dtype=np.int64)}
    made = write_bundle(root, BundleContent(arrays, META, {"golden": []}), signing_key=KEY)
    made.rename(root / "bundle")
    for path in (root / "bundle").iterdir():
        path.chmod(0o644)
    return root / "bundle"


def seal(bundle: Path, manifest: dict, key: bytes = KEY) -> None:
    """Fill in digests and signature as a maker with the right key would."""
    arrays = {
        name: ArrayEntry(**{k: v for k, v in entry.items() if k in ArrayEntry.__struct_fields__})
        for name, entry in manifest["arrays"].items()
    }
    manifest |= {"content_digest": content_digest(arrays), "digest": "0" * 64}
    digest = hashlib.sha256(json.dumps(manifest).encode()).hexdigest()
    raw = json.dumps(manifest | {"digest": digest}).encode()
    (bundle / "manifest.json").write_bytes(raw)
    (bundle / "manifest.sig").write_bytes(sign(raw, key))


def manifest_of(bundle: Path) -> dict:
    return json.loads((bundle / "manifest.json").read_bytes())


def replace(bundle: Path, file: str, raw: bytes, **declared: object) -> None:
    """Put other bytes in a file's place, with a manifest that vouches for them."""
    (bundle / file).write_bytes(raw)
    manifest = manifest_of(bundle)
    entry = next(e for part in ("arrays", "documents") for e in manifest[part].values() if e["file"] == file)
    entry |= {"bytes": len(raw), "sha256": hashlib.sha256(raw).hexdigest()} | declared
    seal(bundle, manifest)


def declare(bundle: Path, **declared: object) -> None:
    manifest = manifest_of(bundle)
    manifest["arrays"]["als.item_factors"] |= declared
    seal(bundle, manifest)


def npy(array: np.ndarray, version: tuple[int, int] | None = None, **options: bool) -> bytes:
    into = io.BytesIO()
    np.lib.format.write_array(into, array, version, **options)
    return into.getvalue()


def header_of(text: str) -> bytes:
    padded = (text + " " * (-(len(text) + 11) % 64) + "\n").encode()
    return fitting(b"\x93NUMPY\x01\x00" + len(padded).to_bytes(2, "little") + padded)


def fitting(raw: bytes) -> bytes:
    """As many bytes as the genuine file has, where there are fewer."""
    return raw.ljust(128 + 32, b"\0")


class Payload:
    def __reduce__(self) -> tuple:
        return os.system, ("touch canary",)


def pickled_array(bundle):
    into = io.BytesIO()
    np.lib.format.write_array_header_1_0(into, {"descr": "|O", "fortran_order": False, "shape": (1,)})
    replace(bundle, FACTORS, fitting(into.getvalue()[:128] + pickle.dumps(Payload(), protocol=0)[:32]))


def object_dtype(bundle):
    replace(bundle, FACTORS, npy(np.array([Payload()], object), allow_pickle=True), dtype="object", shape=[1])


def bare_pickle(bundle):
    replace(bundle, FACTORS, fitting(pickle.dumps(Payload())))


def code_in_the_header(bundle):
    replace(bundle, FACTORS, header_of("__import__('os').system('touch canary')"))


def endless_header(bundle):
    replace(bundle, FACTORS, header_of("{" + "[" * 60_000))


def zip_bomb(bundle):
    into = io.BytesIO()
    np.savez_compressed(into, factors=np.zeros(20_000_000, np.float32))
    replace(bundle, FACTORS, into.getvalue())


def vast_shape(bundle):
    declare(bundle, shape=[10**12, 2])


def vast_shape_and_bytes(bundle):
    declare(bundle, shape=[10**12, 2], bytes=128 + 8 * 10**12)


def vast_shape_in_the_header(bundle):
    replace(bundle, FACTORS, header_of("{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000, 2), }"))


def overflowing_shape(bundle):
    declare(bundle, shape=[2**50, 2**50, 2**50])


def negative_shape(bundle):
    declare(bundle, shape=[-4, -2])


def many_dimensions(bundle):
    declare(bundle, shape=[1] * 65)


def other_byte_order(bundle):
    replace(bundle, FACTORS, npy(np.ones((4, 2), ">f4")))


def other_order_of_axes(bundle):
    replace(bundle, FACTORS, npy(np.asfortranarray(np.ones((4, 2), np.float32))))


def other_npy_version(bundle):
    replace(bundle, FACTORS, npy(np.ones((4, 2), np.float32), version=(2, 0)))


def bytes_after_the_end(bundle):
    replace(bundle, FACTORS, (bundle / FACTORS).read_bytes() + bytes(64))


def sparse_file_of_a_tebibyte(bundle):
    with (bundle / FACTORS).open("r+b") as file:
        file.truncate(1 << 40)
    declare(bundle, bytes=1 << 40, shape=[(1 << 37) - 16, 2])


def not_a_number(bundle):
    replace(bundle, FACTORS, npy(np.full((4, 2), np.nan, np.float32)))


def infinite(bundle):
    replace(bundle, FACTORS, npy(np.array([[1, 2], [3, -np.inf], [1, 2], [3, 4]], np.float32)))


def path_upwards(bundle):
    (bundle.parent / "evil.npy").write_bytes((bundle / FACTORS).read_bytes())
    (bundle / FACTORS).unlink()
    declare(bundle, file="../evil.npy")


def absolute_path(bundle):
    (bundle.parent / "evil.npy").write_bytes((bundle / FACTORS).read_bytes())
    (bundle / FACTORS).unlink()
    declare(bundle, file=str(bundle.parent / "evil.npy"))


def name_with_a_path(bundle):
    manifest = manifest_of(bundle)
    manifest["arrays"]["../evil"] = manifest["arrays"]["als.item_factors"] | {"file": "../evil.npy"}
    seal(bundle, manifest)


def one_file_under_two_names(bundle):
    declare(bundle, file="items.item_key.npy")


def name_outside_the_list(bundle):
    manifest = manifest_of(bundle)
    (bundle / "als.__class__.npy").write_bytes((bundle / FACTORS).read_bytes())
    manifest["arrays"]["als.__class__"] = manifest["arrays"]["als.item_factors"] | {"file": "als.__class__.npy"}
    seal(bundle, manifest)


def symbolic_link(bundle):
    (bundle / FACTORS).rename(bundle.parent / "evil.npy")
    (bundle / FACTORS).symlink_to(bundle.parent / "evil.npy")


def linked_manifest(bundle):
    (bundle / "manifest.json").rename(bundle.parent / "manifest.json")
    (bundle / "manifest.json").symlink_to(bundle.parent / "manifest.json")


def pipe(bundle):
    (bundle / FACTORS).unlink()
    os.mkfifo(bundle / FACTORS)


def pipe_as_manifest(bundle):
    (bundle / "manifest.json").unlink()
    os.mkfifo(bundle / "manifest.json")


def directory_in_place_of_a_file(bundle):
    (bundle / FACTORS).unlink()
    (bundle / FACTORS).mkdir()


def extra_directory(bundle):
    (bundle / "__pycache__").mkdir()


def extra_file(bundle):
    (bundle / "sitecustomize.py").write_text("open('canary', 'w')")


def extra_field(bundle):
    manifest = manifest_of(bundle)
    seal(bundle, manifest | {"loader": "pickle"})


def large_manifest(bundle):
    raw = (bundle / "manifest.json").read_bytes() + b" " * (1 << 20)
    (bundle / "manifest.json").write_bytes(raw)
    (bundle / "manifest.sig").write_bytes(sign(raw, KEY))


def deep_manifest(bundle):
    raw = b'{"format": 1, "arrays": ' + b"[" * 500_000
    (bundle / "manifest.json").write_bytes(raw)
    (bundle / "manifest.sig").write_bytes(sign(raw, KEY))


def deep_document(bundle):
    replace(bundle, "golden.json", b"[" * 1_000_000)


def large_document(bundle):
    replace(bundle, "golden.json", b"[" + b"[]," * 5_000_000 + b"[]]")


def document_that_is_not_text(bundle):
    replace(bundle, "golden.json", b'"\xff\xfe"')


def endless_number(bundle):
    replace(bundle, "golden.json", b"9" * 3_000_000)


def another_key(bundle):
    seal(bundle, manifest_of(bundle), OTHER_KEY)


def no_signature(bundle):
    (bundle / "manifest.sig").unlink()


def long_signature(bundle):
    (bundle / "manifest.sig").write_bytes((bundle / "manifest.sig").read_bytes() + b"\n")


def another_data_digest_under_the_old_signature(bundle):
    signature = (bundle / "manifest.sig").read_bytes()
    seal(bundle, manifest_of(bundle) | {"data_digest": "poisoned"})
    (bundle / "manifest.sig").write_bytes(signature)


HOSTILE = [
    *(pickled_array, object_dtype, bare_pickle, code_in_the_header, endless_header, zip_bomb),
    *(vast_shape, vast_shape_and_bytes, vast_shape_in_the_header, overflowing_shape, negative_shape, many_dimensions),
    *(other_byte_order, other_order_of_axes, other_npy_version, bytes_after_the_end, sparse_file_of_a_tebibyte),
    *(not_a_number, infinite, path_upwards, absolute_path, name_with_a_path, one_file_under_two_names),
    *(name_outside_the_list, symbolic_link, linked_manifest, pipe, pipe_as_manifest, directory_in_place_of_a_file),
    *(extra_directory, extra_file, extra_field, large_manifest, deep_manifest, deep_document, large_document),
    *(document_that_is_not_text, endless_number, another_key, no_signature, long_signature),
    another_data_digest_under_the_old_signature,
]


def load(bundle: Path) -> object:
    return open_bundle(bundle, known=KNOWN, documents=["golden"], schema_hash="f", verify_key=public_key(KEY))


def test_the_genuine_bundle_opens_also_when_sealed_again(tmp_path):
    bundle = genuine(tmp_path)
    replace(bundle, FACTORS, (bundle / FACTORS).read_bytes())
    assert load(bundle)


@pytest.mark.parametrize("harm", HOSTILE, ids=lambda harm: harm.__name__)
def test_it_is_refused_in_one_sentence(tmp_path, harm):
    bundle = genuine(tmp_path)
    harm(bundle)
    with pytest.raises((BundleCorrupt, BundleIncompatible)) as refused:
        load(bundle)
    sentence = str(refused.value)
    assert sentence.startswith(str(bundle))
    assert ": expected " in sentence
    assert sentence.endswith(".")
    assert "\n" not in sentence
    assert len(sentence) < len(str(bundle)) + 400


WATCHED = """
import resource, sys
from pathlib import Path
from recommender.bundle import open_bundle
from recommender.contract import ArraySpec
from features.errors import BundleError

root, key = Path(sys.argv[1]), bytes.fromhex(sys.argv[2])
known = {"als.item_factors": ArraySpec("float32", 2), "items.item_key": ArraySpec("int64", 1)}
names = {path.name for path in root.glob("*/bundle/*")}
families = {"exec", "compile", "import", "pickle", "os", "subprocess", "ctypes", "marshal", "socket"}
forbidden, bundles = [], sorted(root.glob("*/bundle"))

def load(path):
    return open_bundle(path, known=known, documents=["golden"], schema_hash="f", verify_key=key)

def watch(event, arguments):
    if event == "open" and isinstance(arguments[0], str):
        inside = arguments[0] in names or arguments[0].startswith(str(root) + "/") and arguments[0].endswith("/bundle")
        if not inside:
            forbidden.append((event, arguments[0]))
    elif event.partition(".")[0] in families and event != "os.scandir":
        forbidden.append((event, str(arguments)[:100]))

load(root / "genuine" / "bundle")
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
sys.addaudithook(watch)
refused = 0
for path in bundles:
    try:
        load(path)
    except BundleError:
        refused += 1
grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
print(refused, grown // 1024, forbidden)
"""


def test_nothing_is_executed_opened_outside_or_allocated(tmp_path):
    corpus = tmp_path / "corpus"
    for harm in HOSTILE:
        (corpus / harm.__name__).mkdir(parents=True)
        harm(genuine(corpus / harm.__name__))
    (corpus / "genuine").mkdir()
    genuine(corpus / "genuine")
    code = [sys.executable, "-c", WATCHED, str(corpus), public_key(KEY).hex()]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    out = subprocess.run(code, capture_output=True, text=True, cwd=tmp_path, check=True, env=environment).stdout
    refused, grown_mib, forbidden = out.split(maxsplit=2)
    assert int(refused) == len(HOSTILE)
    assert int(grown_mib) <= 20
    assert forbidden.strip() == "[]"
    assert not list(tmp_path.rglob("canary"))
