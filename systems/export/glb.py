"""Exporter: a mesh as binary glTF 2.0, one file with its texture, for web pages and Blender."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from systems.export.normal_map import vertex_of_places, vertex_tangents
from systems.export.obj_ply import MATERIAL
from utils.files import replacing
from utils.images import linear_from_srgb, png_bytes
from utils.mesh import Mesh, Texture
from utils.mesh.ply import needs_doubles
from utils.mesh.stand import UPRIGHT
from utils.registry import register

FLOAT, UINT = 5126, 5125  # component types of glTF
ARRAY, ELEMENTS = 34962, 34963  # targets of buffer views: vertex attributes, indices
UNLIT = "KHR_materials_unlit"  # viewers add no light, since the colours already contain that of the photographs


@register("exporter", "glb")
def write_glb(mesh: Mesh, path: Path) -> None:
    """Writes binary glTF: float positions and normals, a texture or linear float colours, with an unlit material, or
    with a lit one where the texture has a material.

    Positions are those of the mesh; the node above them turns its `stand` to +y, the ground at 0, to metres if they are
    known. asset.extras.unit says "metres" or "scene units". If floats would distort the shape, as in large world
    coordinates, positions are relative to a node's translation.
    A mesh without colours gets a lit material. With `texture.normals` it has a normalTexture, +y up as glTF has it, and
    the tangents that it was baked with; readers that add light use them."""
    with replacing(path) as temporary, open(temporary, "wb") as file:
        file.write(glb_of(mesh))


def glb_of(mesh: Mesh) -> bytes:
    """What `write_glb` writes."""
    vertex, faces, places = _split_at_seams(mesh)
    origin = np.round(mesh.vertices.mean(axis=0)) if needs_doubles(mesh) else np.zeros(3)
    attributes = {"POSITION": (mesh.vertices - origin)[vertex]}
    if mesh.normals is not None:
        attributes["NORMAL"] = mesh.normals[vertex]
    if places is not None:
        attributes["TEXCOORD_0"] = places
        if mesh.texture.normals is not None:
            attributes["TANGENT"] = vertex_tangents(mesh)
    elif mesh.colors is not None:
        attributes["COLOR_0"] = linear_from_srgb(mesh.colors[vertex] / 255.0)
    material: dict[str, Any] = {"name": MATERIAL, "pbrMetallicRoughness": {"metallicFactor": 0.0}}
    document: dict[str, Any] = {
        "asset": {"version": "2.0", "generator": "PhotoSurf", "extras": {"unit": mesh.stand.unit}},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [
            {"name": UPRIGHT, "children": [1], **_pose(mesh.stand.upright(mesh.vertices, "y"))},
            {"name": MATERIAL, "mesh": 0, "translation": origin.tolist()},
        ],
        "materials": [material],
    }
    buffer = _Buffer()
    primitive = {"attributes": {name: buffer.add(values, FLOAT, ARRAY) for name, values in attributes.items()}}
    primitive |= {"indices": buffer.add(faces.reshape(-1), UINT, ELEMENTS), "material": 0}
    document["meshes"] = [{"primitives": [primitive]}]
    if mesh.colors is not None and mesh.texture is None:
        material["extensions"], document["extensionsUsed"] = {UNLIT: {}}, [UNLIT]
    if mesh.texture is not None:
        _add_pictures(mesh.texture, material, document, buffer)
    content = b"".join(buffer.parts)
    document |= {"buffers": [{"byteLength": len(content)}], "bufferViews": buffer.views, "accessors": buffer.accessors}
    chunks = [_chunk(b"JSON", json.dumps(document).encode(), b" "), _chunk(b"BIN\0", content, b"\0")]
    return b"".join([b"glTF" + np.array([2, 12 + sum(map(len, chunks))], "<u4").tobytes(), *chunks])


def _add_pictures(texture: Texture, material: dict[str, Any], document: dict[str, Any], buffer: "_Buffer") -> None:
    """Colours and no light, or albedo and roughness for any light; where there are any, normals too."""
    surface, pictures = material["pbrMetallicRoughness"], [texture.image]
    surface["baseColorTexture"] = {"index": 0}
    if texture.roughness is None:
        material["extensions"], document["extensionsUsed"] = {UNLIT: {}}, [UNLIT]
    else:
        surface |= {"metallicRoughnessTexture": {"index": 1}, "roughnessFactor": 1.0}
        none = np.zeros_like(texture.roughness)
        pictures.append(np.stack([none, texture.roughness, none], axis=2))
    if texture.normals is not None:
        material["normalTexture"] = {"index": len(pictures)}
        pictures.append(texture.normals)
    document["textures"] = [{"source": index, "sampler": 0} for index in range(len(pictures))]
    document["samplers"] = [{"wrapS": 33071, "wrapT": 33071}]
    with ThreadPoolExecutor(len(pictures)) as pool:  # they are compressed without Python's lock
        views = [buffer.append(content) for content in pool.map(png_bytes, pictures)]
    document["images"] = [{"mimeType": "image/png", "bufferView": view} for view in views]


def _pose(matrix: np.ndarray) -> dict[str, list[float]]:
    """A similarity (4, 4) as translation, rotation (a quaternion x, y, z, w of unit length) and scale of a node."""
    scale = np.cbrt(np.linalg.det(matrix[:3, :3]))
    r = matrix[:3, :3] / scale
    # The eigenvector of the largest eigenvalue (Bar-Itzhack 2000), which is exact whatever the angle.
    k = np.array(
        [
            [r[0, 0] - r[1, 1] - r[2, 2], r[1, 0] + r[0, 1], r[2, 0] + r[0, 2], r[2, 1] - r[1, 2]],
            [r[1, 0] + r[0, 1], r[1, 1] - r[0, 0] - r[2, 2], r[2, 1] + r[1, 2], r[0, 2] - r[2, 0]],
            [r[2, 0] + r[0, 2], r[2, 1] + r[1, 2], r[2, 2] - r[0, 0] - r[1, 1], r[1, 0] - r[0, 1]],
            [r[2, 1] - r[1, 2], r[0, 2] - r[2, 0], r[1, 0] - r[0, 1], np.trace(r)],
        ]
    )
    quaternion = np.linalg.eigh(k)[1][:, -1]
    return {"translation": matrix[:3, 3].tolist(), "rotation": quaternion.tolist(), "scale": [float(scale)] * 3}


def _split_at_seams(mesh: Mesh) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """The mesh vertex (U,) of each vertex in the file, faces (F, 3) of the file, and texture coordinates (U, 2).

    A glTF vertex has one texture coordinate, so a vertex at which charts meet becomes several."""
    if mesh.texture is None:
        return np.arange(len(mesh.vertices)), mesh.faces, None
    return vertex_of_places(mesh), mesh.texture.corners, mesh.texture.places


class _Buffer:
    """The binary part of the file, with the views and accessors that describe it."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.views: list[dict[str, int]] = []
        self.accessors: list[dict[str, Any]] = []
        self.size = 0

    def append(self, data: bytes, **entries: int) -> int:
        """Adds bytes; returns the index of their view."""
        self.views.append({"buffer": 0, "byteOffset": self.size, "byteLength": len(data), **entries})
        self.parts.append(data + bytes(-len(data) % 4))
        self.size += len(self.parts[-1])
        return len(self.views) - 1

    def add(self, values: np.ndarray, component: int, target: int) -> int:
        """Adds numbers (N,) or (N, K); returns the index of their accessor."""
        values = values.astype("<f4" if component == FLOAT else "<u4")
        shape = "SCALAR" if values.ndim == 1 else f"VEC{values.shape[1]}"
        entry = {"componentType": component, "count": len(values), "type": shape}
        rows = values.reshape(len(values), -1)
        bounds = {"min": rows.min(axis=0).tolist(), "max": rows.max(axis=0).tolist()}  # required for positions
        view = self.append(values.tobytes(), target=target)
        self.accessors.append({"bufferView": view, **entry, **bounds})
        return len(self.accessors) - 1


def _chunk(kind: bytes, data: bytes, padding: bytes) -> bytes:
    data += padding * (-len(data) % 4)
    return np.array([len(data)], "<u4").tobytes() + kind + data
