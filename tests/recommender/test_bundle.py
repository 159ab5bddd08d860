from __future__ import annotations

import json
import os
import random
import threading
from pathlib import Path

import hypothesis.extra.numpy as npst
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.errors import BundleCorrupt, BundleError, BundleIncompatible
from recommender.bundle import (
    Bundle,
    BundleContent,
    BundleMeta,
    clear_leftovers,
    keep_bundle,
    open_bundle,
    read_manifest,
    write_bundle,
)
from recommender.bundle_manifest import DTYPES, npy_header, readable_formats
from recommender.bundle_signature import public_key
from recommender.contract import ArraySpec

KEY, OTHER_KEY = b"k" * 32, b"o" * 32
META = BundleMeta(
    name="rihla",
    feature_schema="0123456789abcdef",
    journey_version="1",
    journey_digest="j",
    until=1_700_000_000_000_000,
    data_digest="d",
    created_at=1_700_000_000_000_001,
)
ARRAYS = {
    "als.item_factors": np.linspace(-1, 1, 40, dtype=np.float32).reshape(10, 4),
    "items.item_key": np.arange(10, dtype=np.int64),
    "items.is_available": np.ones(10, np.bool_),
    "own.scale": np.array(0.5, np.float64),
    "popular.empty": np.empty((0, 3), np.int32),
}
DOCUMENTS = {"golden": [{"now": 1, "items": ["ürün-1", "منتج"], "score": 0.5}], "blend": {"popular": 1.0}}


def content(created_at=META.created_at, arrays=ARRAYS, documents=DOCUMENTS):
    meta = BundleMeta(**{name: getattr(META, name) for name in META.__struct_fields__} | {"created_at": created_at})
    return BundleContent(arrays, meta, documents)


def specs(arrays=ARRAYS):
    return {name: ArraySpec(array.dtype.name, array.ndim) for name, array in arrays.items()}


def opened(path: Path, **promises) -> Bundle:
    return open_bundle(path, **{"known": specs(), "documents": DOCUMENTS, **promises})


@pytest.fixture
def bundle(tmp_path) -> Path:
    return write_bundle(tmp_path / "bundles", content())


@pytest.fixture
def signed(tmp_path) -> Path:
    return write_bundle(tmp_path / "signed", content(), signing_key=KEY)


names = st.lists(st.from_regex(r"[a-z][a-z0-9_]{0,8}\.[a-z0-9_]{1,8}", fullmatch=True), unique=True, max_size=4)
dtypes = st.sampled_from(sorted(DTYPES)).map(np.dtype)
arrays = dtypes.flatmap(
    lambda dtype: npst.arrays(
        dtype,
        npst.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5),
        elements=npst.from_dtype(dtype, allow_nan=False, allow_infinity=False),
    )
)
numbers = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
documents = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)


@given(data=st.data(), mapped=st.booleans())
def test_what_was_written_is_read_again_bit_for_bit(tmp_path_factory, data, mapped):
    written = {name: data.draw(arrays) for name in data.draw(names)}
    told = {"some_document": data.draw(documents)}
    path = write_bundle(tmp_path_factory.mktemp("round"), BundleContent(written, META, told))
    got = open_bundle(path, known=specs(written), documents=told, mmap=mapped)
    assert dict(got.documents) == told
    assert set(got.arrays) == set(written)
    for name, array in written.items():
        found = got.arrays[name]
        assert (found.dtype, found.shape, found.tobytes()) == (array.dtype, array.shape, array.tobytes())
        assert not found.flags.writeable
        assert np.array_equal(np.load(path / f"{name}.npy", allow_pickle=False), array)


@given(arrays)
def test_the_header_is_one_that_numpy_reads(array):
    header = npy_header(array.dtype.name, array.shape)
    assert len(header) % 64 == 0
    assert header.startswith(np.lib.format.magic(1, 0))


def test_a_bundle_is_named_by_its_digest_and_says_what_it_is_made_of(bundle):
    manifest = read_manifest(bundle)
    assert bundle.name == manifest.digest
    assert (manifest.until, manifest.data_digest, manifest.name) == (META.until, "d", "rihla")
    assert set(manifest.arrays) == set(ARRAYS)
    assert {path.name for path in bundle.iterdir()} == {*manifest.files, "manifest.json"}


def test_equal_content_gives_the_same_directory_and_writes_nothing(tmp_path):
    first = write_bundle(tmp_path, content())
    before = {path.name: path.stat() for path in first.iterdir()}
    assert write_bundle(tmp_path, content()) == first
    assert {path.name: path.stat() for path in first.iterdir()} == before
    assert list(tmp_path.iterdir()) == [first]


def test_the_content_digest_knows_arrays_and_not_when_they_were_made(tmp_path):
    a = read_manifest(write_bundle(tmp_path, content()))
    later = read_manifest(write_bundle(tmp_path, content(META.created_at + 1, documents={"golden": []})))
    other = read_manifest(write_bundle(tmp_path, content(arrays=ARRAYS | {"own.scale": np.array(0.25)})))
    assert a.digest != later.digest
    assert a.content_digest == later.content_digest != other.content_digest


def test_row_and_column_order_in_memory_do_not_matter(tmp_path):
    turned = {name: np.asfortranarray(array) if array.ndim else array for name, array in ARRAYS.items()}
    swapped = {name: array.astype(array.dtype.newbyteorder(">")) for name, array in ARRAYS.items()}
    same = {write_bundle(tmp_path, content(arrays=arrays)) for arrays in (ARRAYS, turned, swapped)}
    assert len(same) == 1


def test_any_flipped_bit_in_any_file_is_refused(signed):
    rng = random.Random(20)
    files = sorted(signed.iterdir())
    places = [(file, rng.randrange(file.stat().st_size * 8)) for file in files for _ in range(200 // len(files) + 1)]
    for file, bit in places:
        raw = bytearray(file.read_bytes())
        raw[bit // 8] ^= 1 << bit % 8
        file.chmod(0o644)
        file.write_bytes(raw)
        with pytest.raises((BundleCorrupt, BundleIncompatible)):
            opened(signed, verify_key=public_key(KEY))
        raw[bit // 8] ^= 1 << bit % 8
        file.write_bytes(raw)
    assert opened(signed, verify_key=public_key(KEY)).manifest.signer == public_key(KEY).hex()


def test_any_flipped_bit_is_refused_without_a_key_too(bundle):
    rng = random.Random(21)
    for file in sorted(bundle.iterdir()):
        good = file.read_bytes()
        file.chmod(0o644)
        for bit in rng.sample(range(len(good) * 8), 25):
            raw = bytearray(good)
            raw[bit // 8] ^= 1 << bit % 8
            file.write_bytes(raw)
            with pytest.raises((BundleCorrupt, BundleIncompatible)):
                opened(bundle)
        file.write_bytes(good)


@pytest.mark.parametrize("name", [*(f"{name}.npy" for name in ARRAYS), "golden.json", "blend.json", "manifest.json"])
def test_a_missing_file_is_named(bundle, name):
    (bundle / name).unlink()
    with pytest.raises(BundleCorrupt, match=f"{name}: expected"):
        opened(bundle)


@pytest.mark.parametrize("keep", [0, 63, 64, 100, -1])
def test_a_file_that_was_cut_short_is_named(bundle, keep):
    file = bundle / "als.item_factors.npy"
    raw = file.read_bytes()
    file.unlink()
    file.write_bytes(raw[:keep])
    with pytest.raises(BundleCorrupt, match=r"als.item_factors.npy: expected 288 bytes, got \d+\."):
        opened(bundle)


def test_a_directory_that_is_no_bundle_is_named(tmp_path):
    (tmp_path / "file").touch()
    for path in (tmp_path / "nothing", tmp_path / "file", tmp_path):
        with pytest.raises(BundleCorrupt, match="expected"):
            opened(path)


def test_every_refusal_is_one_sentence(bundle):
    (bundle / "extra.npy").touch()
    with pytest.raises(BundleCorrupt) as refused:
        opened(bundle)
    assert str(refused.value) == f"{bundle}: expected no file 'extra.npy' in a bundle."


def test_a_signature_is_asked_for_where_a_key_is_configured(bundle, signed):
    assert opened(signed).manifest.signer  # a reader without a key reads both
    with pytest.raises(BundleCorrupt, match=r"manifest\.sig"):
        opened(bundle, verify_key=public_key(KEY))
    with pytest.raises(BundleCorrupt, match=r"signature of manifest\.json by the configured key"):
        opened(signed, verify_key=public_key(OTHER_KEY))


def test_a_signature_cannot_be_carried_over_to_another_bundle(tmp_path, signed):
    other = write_bundle(tmp_path / "other", content(META.created_at + 1), signing_key=OTHER_KEY)
    (other / "manifest.sig").chmod(0o644)
    (other / "manifest.sig").write_bytes((signed / "manifest.sig").read_bytes())
    with pytest.raises(BundleCorrupt, match="signature"):
        opened(other, verify_key=public_key(KEY))


def test_a_genuine_older_bundle_is_refused_where_the_registry_promised_another(tmp_path, signed):
    newer = write_bundle(tmp_path / "newer", content(META.created_at + 1), signing_key=KEY)
    assert opened(newer, digest=newer.name, verify_key=public_key(KEY))
    with pytest.raises(BundleIncompatible, match=f"expected digest {newer.name}"):
        opened(signed, digest=newer.name, verify_key=public_key(KEY))


def test_another_feature_schema_is_incompatible(bundle):
    assert opened(bundle, schema_hash=META.feature_schema)
    with pytest.raises(BundleIncompatible, match="expected feature schema other, got '0123456789abcdef'"):
        opened(bundle, schema_hash="other")


SCHEMAS = ("a" * 16, "b" * 16, "c" * 16)


@pytest.mark.parametrize("reader", SCHEMAS)
@pytest.mark.parametrize("written", SCHEMAS)
def test_a_bundle_is_read_by_the_feature_schema_it_was_made_with_and_refused_by_others_at_once(
    tmp_path, reader, written
):
    meta = BundleMeta(**{name: getattr(META, name) for name in META.__struct_fields__} | {"feature_schema": written})
    bundle = write_bundle(tmp_path, BundleContent(ARRAYS, meta, DOCUMENTS))
    if reader == written:
        assert opened(bundle, schema_hash=reader)
    else:
        with pytest.raises(BundleIncompatible, match=f"expected feature schema {reader}, got '{written}'"):
            opened(bundle, schema_hash=reader)


def test_a_reader_knows_the_arrays_and_documents_it_wants(bundle):
    less = {name: spec for name, spec in specs().items() if name != "own.scale"}
    more = specs() | {"trees.leaves": ArraySpec("float32", 1)}
    with pytest.raises(BundleIncompatible, match=r"expected no array 'own.scale'"):
        opened(bundle, known=less)
    with pytest.raises(BundleIncompatible, match=r"expected array 'trees.leaves'"):
        opened(bundle, known=more)
    assert "trees.leaves" not in opened(bundle, known=more, optional=["trees.leaves"]).arrays
    with pytest.raises(BundleIncompatible, match="expected no document 'blend'"):
        opened(bundle, documents=["golden"])
    with pytest.raises(BundleIncompatible, match="expected document 'facts'"):
        opened(bundle, documents=[*DOCUMENTS, "facts"])


@pytest.mark.parametrize("spec", [ArraySpec("float64", 2), ArraySpec("float32", 1)])
def test_an_array_of_another_form_is_incompatible(bundle, spec):
    with pytest.raises(BundleIncompatible, match=r"expected .* as 'als.item_factors', got float32 of 2"):
        opened(bundle, known=specs() | {"als.item_factors": spec})


@pytest.mark.parametrize("reader", [1, 2, 3])
@pytest.mark.parametrize("written", [1, 2, 3])
def test_a_reader_reads_its_own_format_and_the_one_before(reader, written):
    assert (written in readable_formats(reader)) == (written in {reader, reader - 1})


@pytest.mark.parametrize("found", [0, 2, 99, -1])
def test_a_format_of_another_time_is_incompatible_whatever_else_it_holds(bundle, found):
    (bundle / "manifest.json").chmod(0o644)
    (bundle / "manifest.json").write_text(json.dumps({"format": found, "shards": []}))
    with pytest.raises(BundleIncompatible, match=f"expected format 1, got {found}"):
        opened(bundle)


@pytest.mark.parametrize("name", ["", "Als", "../als", "als/x", "a b", "manifest", "als.", "als..x", ".als", "a" * 101])
def test_a_name_that_could_not_be_a_file_is_not_written(tmp_path, name):
    with pytest.raises(BundleError, match="expected a unique name"):
        write_bundle(tmp_path, content(arrays={name: np.zeros(1)}))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "array", [np.array([{}]), np.array(["x"]), np.array([1j]), np.array([np.nan]), np.array([np.inf])]
)
def test_an_array_that_no_reader_accepts_is_not_written(tmp_path, array):
    with pytest.raises(BundleError, match=r"als.x: expected"):
        write_bundle(tmp_path, content(arrays={"als.x": array}))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("document", [float("nan"), {"a": [float("inf")]}, object(), "\ud800", "x" * (4 << 20)])
def test_a_document_that_no_reader_accepts_is_not_written(tmp_path, document):
    with pytest.raises(BundleError, match="golden: expected"):
        write_bundle(tmp_path, content(documents={"golden": document}))
    assert list(tmp_path.iterdir()) == []


def test_meta_that_no_reader_accepts_is_not_written(tmp_path):
    meta = BundleMeta(**{name: getattr(META, name) for name in META.__struct_fields__} | {"name": "../rihla"})
    with pytest.raises(BundleCorrupt, match="name"):
        write_bundle(tmp_path, BundleContent(ARRAYS, meta))
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_directory_makes_room_and_its_readers_keep_what_they_mapped(tmp_path):
    path = write_bundle(tmp_path, content())
    reader = opened(path)
    (path / "own.scale.npy").unlink()
    assert write_bundle(tmp_path, content()) == path
    assert opened(path)
    assert np.array_equal(reader.arrays["als.item_factors"], ARRAYS["als.item_factors"])


def test_many_writers_of_one_bundle_agree(tmp_path):
    made: list[Path] = []
    threads = [threading.Thread(target=lambda: made.append(write_bundle(tmp_path, content()))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 8
    assert list(tmp_path.iterdir()) == [made[0]]


def test_a_download_takes_its_place_under_its_digest(tmp_path, bundle):
    download = tmp_path / "bundles" / ".partial-download"
    bundle.rename(download)
    kept = keep_bundle(download, tmp_path / "bundles")
    assert kept == bundle
    assert not download.exists()
    assert opened(kept)


def test_a_download_that_stopped_half_way_never_takes_its_place(tmp_path, bundle):
    download = tmp_path / "bundles" / ".partial-download"
    bundle.rename(download)
    (download / "als.item_factors.npy").chmod(0o644)
    os.truncate(download / "als.item_factors.npy", 230)
    with pytest.raises(BundleCorrupt, match=r"als.item_factors.npy: expected 288 bytes, got 230"):
        keep_bundle(download, tmp_path / "bundles")
    assert not bundle.exists()


def test_what_killed_writers_left_is_cleared(tmp_path, bundle):
    old, young = (bundle.parent / f".partial-{name}" for name in ("old", "young"))
    for path in (old, young):
        path.mkdir()
        (path / "als.item_factors.npy").touch()
    os.utime(old, (0, 0))
    assert clear_leftovers(bundle.parent) == 1
    assert {path.name for path in bundle.parent.iterdir()} == {bundle.name, young.name}


def test_a_mapped_bundle_outlives_its_directory(bundle):
    got = opened(bundle)
    for path in bundle.iterdir():
        path.unlink()
    bundle.rmdir()
    assert np.array_equal(got.arrays["als.item_factors"], ARRAYS["als.item_factors"])


def test_arrays_cannot_be_written_through(bundle):
    got = opened(bundle)
    with pytest.raises(ValueError, match="WRITEABLE"):
        got.arrays["als.item_factors"].flags.writeable = True
    with pytest.raises(TypeError):
        got.arrays["als.item_factors"] = np.zeros(1)
