"""A turntable is solved from its motion alone, and what is not one closed turn is declined with the reason."""

from pathlib import Path

import numpy as np
import pycolmap
import pytest

from datasets.capture.poses.turntable.solve import solve_turntable
from datasets.geometry.agreement import fit_similarity

FOCAL, SIZE = 1100.0, (800, 600)
PITCHES, DISTANCES, AZIMUTHS = (15.0, 32.0, 50.0), (5.0, 5.5, 4.6), (0.0, 77.0, -140.0)  # degrees


def bottle(random: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Points on a cylinder, their normals, and descriptors: the back looks much like the front."""
    angle, height = random.uniform(0.0, np.pi, 250), random.uniform(-0.8, 0.8, 250)
    angle, height = np.concatenate([angle, angle + np.pi]), np.tile(height, 2)
    normals = np.stack([np.cos(angle), np.sin(angle), np.zeros(500)], axis=1)
    descriptors = np.tile(random.uniform(0.0, 100.0, (250, 128)), (2, 1)) + random.uniform(0.0, 50.0, (500, 128))
    return normals * 0.7 + height[:, None] * [0.0, 0.0, 1.0], normals, descriptors


def write_turntable(database: Path, sense: int, turn: float = 360.0, photos: int = 12) -> tuple[list, dict]:
    """A database of a turntable whose photos of a ring span `turn` degrees; the names by ring, and the true centres."""
    random = np.random.default_rng(0)
    points, normals, descriptors = bottle(random)
    camera = pycolmap.Camera(model="SIMPLE_RADIAL", width=SIZE[0], height=SIZE[1], params=[960.0, 400.0, 300.0, 0.0])
    true = pycolmap.Camera(model="SIMPLE_RADIAL", width=SIZE[0], height=SIZE[1], params=[FOCAL, 400.0, 300.0, -0.04])
    camera.camera_id = 1
    model = pycolmap.Reconstruction()
    model.add_camera_with_trivial_rig(camera)
    names, centres = [], {}
    with pycolmap.Database.open(database) as opened:
        opened.write_camera(camera, use_camera_id=True)
        opened.write_rig(model.rigs[1], use_rig_id=True)
        for pitch, distance, azimuth in zip(np.radians(PITCHES), DISTANCES, AZIMUTHS, strict=True):
            names.append([])
            for photo in range(photos):
                number = len(centres) + 1
                angle = np.radians(azimuth - sense * turn / photos * photo)
                back = np.array([np.cos(pitch) * np.cos(angle), np.cos(pitch) * np.sin(angle), np.sin(pitch)])
                right = np.array([-np.sin(angle), np.cos(angle), 0.0])
                rotation, centre = np.stack([right, np.cross(-back, right), -back]), distance * back
                seen = np.flatnonzero(np.einsum("ni,ni->n", normals, centre - points) > 1.0)
                seen = random.permutation(seen)[:160]
                xy = true.img_from_cam((points[seen] - centre) @ rotation.T) + random.normal(0.0, 0.3, (len(seen), 2))
                noisy = np.clip(descriptors[seen] + random.normal(0.0, 4.0, (len(seen), 128)), 0, 255)
                names[-1].append(f"{number:03d}.jpg")
                image = pycolmap.Image(name=names[-1][-1], camera_id=1, image_id=number)
                model.add_image_with_trivial_frame(image)
                opened.write_frame(model.frames[number], use_frame_id=True)
                opened.write_image(model.images[number], use_image_id=True)
                opened.write_keypoints(number, xy.astype(np.float32))
                sift = pycolmap.FeatureDescriptors(pycolmap.FeatureExtractorType.SIFT, noisy.astype(np.uint8))
                opened.write_descriptors(number, sift)
                centres[image.name] = centre
    return names, centres


@pytest.mark.parametrize(("sense", "rings"), [(1, 2), (-1, 1)])
def test_rings_of_different_azimuths_and_distances_are_joined(sense, rings, tmp_path: Path):
    positions, centres = write_turntable(tmp_path / "database.db", sense)
    positions = positions[:rings]
    centres = {name: centres[name] for names in positions for name in names}
    model = solve_turntable(tmp_path / "database.db", [*positions, ["left", "out"]])
    found = {image.name: image.projection_center() for image in model.images.values()}
    assert found.keys() == centres.keys()
    targets = np.stack([centres[name] for name in found])
    similarity = fit_similarity(np.stack(list(found.values())), targets)
    moved = np.stack(list(found.values())) @ similarity[:3, :3].T + similarity[:3, 3]
    off = np.linalg.norm(moved - targets, axis=1)
    assert np.median(off) < 0.005 * max(DISTANCES)
    assert off.max() < 0.03 * max(DISTANCES)
    np.testing.assert_allclose(similarity[:3, 2] / np.linalg.norm(similarity[:3, 2]), [0, 0, 1], atol=0.02)  # z is up
    assert model.cameras[1].focal_length == pytest.approx(FOCAL, rel=0.05)


@pytest.mark.parametrize(("turn", "photos", "reason"), [(200.0, 12, "closed turn"), (360.0, 6, "has 8 photos")])
def test_what_is_no_closed_turn_is_declined_with_the_reason(turn, photos, reason, tmp_path: Path, caplog):
    positions, _ = write_turntable(tmp_path / "database.db", 1, turn, photos)
    assert solve_turntable(tmp_path / "database.db", positions[:1]) is None
    assert reason in caplog.text
