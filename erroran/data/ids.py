"""Ids of samples, made from their pixels, and choices that depend on these ids alone."""

import hashlib
import struct
from collections import Counter

import numpy as np

ID_LENGTH = 16
"""Hex digits of an id before the number of a copy; 64 bits, so chance collisions do not happen."""


def sample_ids(images: np.ndarray, labels: np.ndarray | None = None) -> np.ndarray:
    """Ids that depend on an image's content, not on the order of the images.

    Args:
        images: ``uint8`` (N, H, W, C).
        labels: Integers (N,), used only to number exact copies of one image: without them, copies with different
            labels would swap ids when the order changes.

    Returns:
        Strings (N,), all different: 16 hex digits (BLAKE2b of size and pixels); further copies of an image end in
        ``~1``, ``~2`` ...
    """
    assert images.dtype == np.uint8, images.dtype
    pixels = np.ascontiguousarray(images)
    _, height, width, channels = pixels.shape
    # The size goes into `person`, which holds 16 bytes. Grey images have no salt, which keeps their ids as they were.
    size, salt = struct.pack("<QQ", height, width), b"" if channels == 1 else struct.pack("<Q", channels)
    step = height * width * channels
    buffer = pixels.reshape(-1).data
    hashes = [
        hashlib.blake2b(buffer[start : start + step], digest_size=ID_LENGTH // 2, person=size, salt=salt).hexdigest()
        for start in range(0, len(buffer), step)
    ]
    return _number_copies(np.array(hashes, dtype=f"U{ID_LENGTH}"), labels)


def strip_copy_numbers(ids: np.ndarray) -> np.ndarray:
    """Ids (N,) without ``~1``, ``~2``: equal exactly where the images are equal."""
    return ids.astype(f"U{ID_LENGTH}")


def count_different(groups: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Number of different images of each class, ``int64`` (K,), K being the largest label plus 1."""
    pairs = set(zip(groups.tolist(), labels.tolist(), strict=True))
    return np.bincount([label for _, label in pairs])


def groups_in_hash_order(groups: np.ndarray, *, purpose: str) -> list[list[int]]:
    """The rows of each group of samples, the groups sorted by a hash of purpose and name.

    Args:
        groups: Strings (N,): the name of each sample's group.
        purpose: Different purposes give independent orders.
    """
    rows: dict[str, list[int]] = {}
    for row, name in enumerate(groups.tolist()):
        rows.setdefault(name, []).append(row)
    order = sorted(rows, key=lambda name: hashlib.blake2b(f"{purpose}:{name}".encode()).digest())
    return [rows[name] for name in order]


def choose_fraction(groups: np.ndarray, labels: np.ndarray, *, fraction: float, purpose: str) -> np.ndarray:
    """Choose a stratified part by the content alone, not by order or a seed; groups stay together.

    The quota of each class is ``round(fraction * n)``, at least one and at most n - 1. A group is taken, in hash order,
    if all its samples fit into the quotas that are left. So the quotas are met exactly if each group is one sample; a
    class misses its quota by less than the size of its largest group. If no group of a class fits, its smallest one is
    taken, unless no other group of the class is left.

    Args:
        groups: Strings (N,): of one group, such as the copies of an image, all samples or none are chosen.
        labels: Integers (N,).
        fraction: Chosen share of each class, in (0, 1).
        purpose: Different purposes give independent choices.

    Returns:
        Booleans (N,), true where chosen.
    """
    classes, sizes = np.unique(labels, return_counts=True)
    quotas = [min(max(round(fraction * size), 1), size - 1) for size in sizes.tolist()]
    return _choose(groups, labels, dict(zip(classes.tolist(), quotas, strict=True)), purpose)


def choose_count(groups: np.ndarray, labels: np.ndarray, *, count: int, purpose: str) -> np.ndarray:
    """As `choose_fraction`, with quotas that add up to `count` (0 to N).

    The quota of each class is its share of `count`, rounded down; the classes with the largest remainders get one more
    (method of Hamilton; on a tie the smaller label).
    """
    classes, sizes = np.unique(labels, return_counts=True)
    quotas, remainders = np.divmod(count * sizes, len(labels))
    quotas[np.argsort(-remainders, kind="stable")[: count - quotas.sum()]] += 1
    return _choose(groups, labels, dict(zip(classes.tolist(), quotas.tolist(), strict=True)), purpose)


def _choose(groups: np.ndarray, labels: np.ndarray, quotas: dict[int, int], purpose: str) -> np.ndarray:
    known = labels.tolist()
    free, left = dict(quotas), Counter(known)
    chosen = np.zeros(len(known), dtype=bool)
    passed: list[tuple[list[int], list[int]]] = []

    def take(rows: list[int], classes: list[int]) -> None:
        chosen[rows] = True
        for label in classes:
            free[label] -= 1
            left[label] -= 1

    for rows in groups_in_hash_order(groups, purpose=purpose):
        classes = [known[row] for row in rows]
        if all(free[label] >= classes.count(label) for label in classes):
            take(rows, classes)
        else:
            passed.append((rows, classes))
    for label, quota in quotas.items():
        if quota and free[label] == quota:  # all groups of the class are larger than its quota
            others_left = [g for g in passed if label in g[1] and all(left[one] > g[1].count(one) for one in g[1])]
            if others_left:
                take(*min(others_left, key=lambda group: len(group[0])))
    return chosen


def _number_copies(hashes: np.ndarray, labels: np.ndarray | None) -> np.ndarray:
    _, group, sizes = np.unique(hashes, return_inverse=True, return_counts=True)
    copied = np.flatnonzero(sizes[group] > 1)
    if copied.size == 0:
        return hashes
    if labels is not None:
        # A stable sort: copies that share image and label are interchangeable.
        copied = copied[np.argsort(labels[copied], kind="stable")]
    seen: Counter[str] = Counter()
    numbered = hashes.tolist()
    for index in copied.tolist():
        name = numbered[index]
        if seen[name]:
            numbered[index] = f"{name}~{seen[name]}"
        seen[name] += 1
    return np.array(numbered)
