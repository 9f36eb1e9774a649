"""Exporter: a mesh as USDZ, one file with its texture, for iPhones, Quick Look and USD tools."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from systems.export.obj_ply import MATERIAL
from utils.files import replacing
from utils.images import linear_from_srgb, write_png
from utils.mesh import Mesh
from utils.packages import require
from utils.registry import register

_ROOT = "/Object"


@register("exporter", "usdz")
def write_usdz(mesh: Mesh, path: Path) -> None:
    """Writes USDZ: float positions and normals, a texture or linear vertex colours, on a matt material; +y is up and
    the ground y = 0 as the mesh's `stand` says.

    metersPerUnit is 1; where the length of the unit is not known, customLayerData says "scene units". Raises
    MissingPackageError."""
    require("pxr")
    from pxr import Sdf, Usd, UsdGeom, UsdUtils

    with tempfile.TemporaryDirectory() as folder:
        stage = Usd.Stage.CreateNew(str(Path(folder) / f"{MATERIAL}.usdc"))
        UsdGeom.SetStageUpAxis(stage, UsdGeom.Tokens.y)
        UsdGeom.SetStageMetersPerUnit(stage, 1.0)
        stage.GetRootLayer().customLayerData = {"unit": mesh.stand.unit, "creator": "PhotoSurf"}
        root = UsdGeom.Xform.Define(stage, _ROOT)
        stage.SetDefaultPrim(root.GetPrim())
        shape = _add_shape(stage, mesh, root)
        if mesh.texture is not None:
            write_png(Path(folder) / f"{MATERIAL}.png", mesh.texture.image)
        if mesh.texture is not None or mesh.colors is not None:
            _add_material(stage, shape, mesh.texture is not None)
        stage.GetRootLayer().Save()
        packed = Path(folder) / "packed.usdz"
        UsdUtils.CreateNewUsdzPackage(Sdf.AssetPath(str(Path(folder) / f"{MATERIAL}.usdc")), str(packed))
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


def _add_material(stage: Any, shape: Any, textured: bool) -> None:
    """Binds a matt material that shows the texture, or else the colours of the vertices."""
    from pxr import Sdf, UsdShade

    types, place = Sdf.ValueTypeNames, f"{_ROOT}/material"
    material = UsdShade.Material.Define(stage, place)

    def shader(name: str, kind: str) -> Any:
        made = UsdShade.Shader.Define(stage, f"{place}/{name}")
        made.CreateIdAttr(kind)
        return made

    surface = shader("surface", "UsdPreviewSurface")
    surface.CreateInput("roughness", types.Float).Set(1.0)
    surface.CreateInput("metallic", types.Float).Set(0.0)
    color = shader("color", "UsdUVTexture" if textured else "UsdPrimvarReader_float3")
    if textured:
        reader = shader("places", "UsdPrimvarReader_float2")
        reader.CreateInput("varname", types.String).Set("st")
        color.CreateInput("st", types.Float2).ConnectToSource(reader.CreateOutput("result", types.Float2))
        color.CreateInput("file", types.Asset).Set(Sdf.AssetPath(f"{MATERIAL}.png"))
        color.CreateInput("sourceColorSpace", types.Token).Set("sRGB")
        for side in ("wrapS", "wrapT"):
            color.CreateInput(side, types.Token).Set("clamp")
    else:
        color.CreateInput("varname", types.String).Set("displayColor")
    output = color.CreateOutput("rgb" if textured else "result", types.Float3)
    surface.CreateInput("diffuseColor", types.Color3f).ConnectToSource(output)
    material.CreateSurfaceOutput().ConnectToSource(surface.CreateOutput("surface", types.Token))
    UsdShade.MaterialBindingAPI.Apply(shape.GetPrim()).Bind(material)
