"""Exporter: a mesh as USDZ, one file with its texture, for iPhones, Quick Look and USD tools."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from systems.export.obj_ply import MATERIAL
from utils.files import replacing
from utils.images import linear_from_srgb, write_png
from utils.mesh import Mesh, Texture
from utils.packages import require
from utils.registry import register

_ROOT = "/Object"


def load_libraries() -> None:
    """Imports those of USD, while no other thread works: they let go of Python's lock while the loader of the system is
    theirs, and a thread that takes the one and waits for the other ends both. Raises MissingPackageError."""
    require("pxr")
    from pxr import Gf, Sdf, Usd, UsdGeom, UsdShade, Vt  # noqa: F401


@register("exporter", "usdz")
def write_usdz(mesh: Mesh, path: Path) -> None:
    """Writes USDZ: float positions and normals, a texture or linear vertex colours, on a matt material, or on that
    of the texture; +y is up and the ground y = 0 as the mesh's `stand` says.

    metersPerUnit is 1; where the length of the unit is not known, customLayerData says "scene units". Raises
    MissingPackageError."""
    load_libraries()
    from pxr import Sdf, Usd, UsdGeom

    with tempfile.TemporaryDirectory() as folder:
        stage = Usd.Stage.CreateNew(str(Path(folder) / f"{MATERIAL}.usdc"))
        UsdGeom.SetStageUpAxis(stage, UsdGeom.Tokens.y)
        UsdGeom.SetStageMetersPerUnit(stage, 1.0)
        stage.GetRootLayer().customLayerData = {"unit": mesh.stand.unit, "creator": "PhotoSurf"}
        root = UsdGeom.Xform.Define(stage, _ROOT)
        stage.SetDefaultPrim(root.GetPrim())
        shape = _add_shape(stage, mesh, root)
        pictures = {} if mesh.texture is None else _pictures(mesh.texture)
        for name, picture in pictures.items():
            write_png(Path(folder) / name, picture)
        if mesh.texture is not None or mesh.colors is not None:
            _add_material(stage, shape, list(pictures))
        stage.GetRootLayer().Save()
        packed = Path(folder) / "packed.usdz"
        zipped = Sdf if hasattr(Sdf, "ZipFileWriter") else Usd  # by version
        with zipped.ZipFileWriter.CreateNew(str(packed)) as archive:
            for name in (f"{MATERIAL}.usdc", *pictures):  # the layer is first
                archive.AddFile(str(Path(folder) / name), name)
        with replacing(path) as temporary:
            temporary.write_bytes(packed.read_bytes())


def _add_shape(stage: Any, mesh: Mesh, root: Any) -> Any:
    """The UsdGeom.Mesh of a mesh below the root, which moves it to its place."""
    from pxr import Gf, Sdf, UsdGeom, Vt

    matrix = mesh.stand.upright(mesh.vertices, "y")
    vertices = mesh.vertices @ matrix[:3, :3].T + matrix[:3, 3]
    origin = np.round(vertices.mean(axis=0)) if np.abs(vertices).max() > 1e3 * np.ptp(vertices) else np.zeros(3)
    root.AddTranslateOp(UsdGeom.XformOp.PrecisionDouble).Set(Gf.Vec3d(*origin.tolist()))
    points = (vertices - origin).astype(np.float32)
    shape = UsdGeom.Mesh.Define(stage, f"{_ROOT}/{MATERIAL}")
    shape.CreateSubdivisionSchemeAttr(UsdGeom.Tokens.none)
    shape.CreatePointsAttr(Vt.Vec3fArray.FromNumpy(points))
    shape.CreateExtentAttr(Vt.Vec3fArray.FromNumpy(np.stack([points.min(axis=0), points.max(axis=0)])))
    shape.CreateFaceVertexCountsAttr(Vt.IntArray.FromNumpy(np.full(len(mesh.faces), 3, np.int32)))
    shape.CreateFaceVertexIndicesAttr(Vt.IntArray.FromNumpy(mesh.faces.astype(np.int32).reshape(-1)))
    if mesh.normals is not None:
        normals = mesh.normals @ (matrix[:3, :3] / np.cbrt(np.linalg.det(matrix[:3, :3]))).T
        shape.CreateNormalsAttr(Vt.Vec3fArray.FromNumpy(normals.astype(np.float32)))
        shape.SetNormalsInterpolation(UsdGeom.Tokens.vertex)
    primvars = UsdGeom.PrimvarsAPI(shape)
    if mesh.texture is not None:
        places = (mesh.texture.places * [1.0, -1.0] + [0.0, 1.0]).astype(np.float32)  # USD counts v from below
        st = primvars.CreatePrimvar("st", Sdf.ValueTypeNames.TexCoord2fArray, UsdGeom.Tokens.faceVarying)
        st.Set(Vt.Vec2fArray.FromNumpy(places))
        st.SetIndices(Vt.IntArray.FromNumpy(mesh.texture.corners.astype(np.int32).reshape(-1)))
    elif mesh.colors is not None:
        colors = primvars.CreatePrimvar("displayColor", Sdf.ValueTypeNames.Color3fArray, UsdGeom.Tokens.vertex)
        colors.Set(Vt.Vec3fArray.FromNumpy(linear_from_srgb(mesh.colors / 255.0).astype(np.float32)))
    return shape


def _pictures(texture: Texture) -> dict[str, np.ndarray]:
    """By the names of their files colours and, of albedo that takes any light, roughness and normals."""
    found = {f"{MATERIAL}.png": texture.image}
    if texture.roughness is not None:
        found[f"{MATERIAL}-roughness.png"] = texture.roughness
        if texture.normals is not None:
            found[f"{MATERIAL}-normals.png"] = texture.normals
    return found


def _add_material(stage: Any, shape: Any, pictures: Sequence[str]) -> None:
    """Binds a material that shows pictures as `_pictures` names them, or without any the colours of the vertices.

    It is matt where no picture tells the roughness."""
    from pxr import Gf, Sdf, UsdShade

    types, place = Sdf.ValueTypeNames, f"{_ROOT}/material"
    material = UsdShade.Material.Define(stage, place)

    def shader(name: str, kind: str) -> Any:
        made = UsdShade.Shader.Define(stage, f"{place}/{name}")
        made.CreateIdAttr(kind)
        return made

    def picture(name: str, file: str, space: str) -> Any:
        made, reader = shader(name, "UsdUVTexture"), shader("places", "UsdPrimvarReader_float2")
        reader.CreateInput("varname", types.String).Set("st")
        made.CreateInput("st", types.Float2).ConnectToSource(reader.CreateOutput("result", types.Float2))
        made.CreateInput("file", types.Asset).Set(Sdf.AssetPath(f"./{file}"))
        made.CreateInput("sourceColorSpace", types.Token).Set(space)
        for side in ("wrapS", "wrapT"):
            made.CreateInput(side, types.Token).Set("clamp")
        return made

    surface = shader("surface", "UsdPreviewSurface")
    roughness = surface.CreateInput("roughness", types.Float)
    surface.CreateInput("metallic", types.Float).Set(0.0)
    if pictures:
        output = picture("color", pictures[0], "sRGB").CreateOutput("rgb", types.Float3)
    else:
        color = shader("color", "UsdPrimvarReader_float3")
        color.CreateInput("varname", types.String).Set("displayColor")
        output = color.CreateOutput("result", types.Float3)
    surface.CreateInput("diffuseColor", types.Color3f).ConnectToSource(output)
    if len(pictures) > 1:
        roughness.ConnectToSource(picture("roughness", pictures[1], "raw").CreateOutput("r", types.Float))
    else:
        roughness.Set(1.0)
    if len(pictures) > 2:
        bumps = picture("normals", pictures[2], "raw")
        bumps.CreateInput("scale", types.Float4).Set(Gf.Vec4f(2.0, 2.0, 2.0, 1.0))
        bumps.CreateInput("bias", types.Float4).Set(Gf.Vec4f(-1.0, -1.0, -1.0, 0.0))
        normal = surface.CreateInput("normal", types.Normal3f)
        normal.ConnectToSource(bumps.CreateOutput("rgb", types.Float3))
    material.CreateSurfaceOutput().ConnectToSource(surface.CreateOutput("surface", types.Token))
    UsdShade.MaterialBindingAPI.Apply(shape.GetPrim()).Bind(material)
