"""Level sets of other libraries, each from the same mask over the same maps until its mask is as large as asked, or patience ends."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from scipy import ndimage as ndi

from napari_medseg.weaklabel.front import Front
from napari_medseg.weaklabel.settings import LevelSetSettings

CURVATURE = 0.2  # mm, for every front
ITERATIONS = 2000
UPDATE = LevelSetSettings().iterations_per_update
NEVER = 1e9  # an arrival time
NEARLY = 0.95  # of the volume that a solver settled at below what was asked


@dataclass(frozen=True)
class Reached:
    """A mask, the seconds of the one call that made it (transfers of arrays left out), those of the processor, and whether it is as large as asked."""

    mask: np.ndarray
    seconds: float
    busy: float
    enough: bool
    iterations: int


class Clock:
    """Seconds, and the processor's in all threads, since it was made."""

    def __init__(self) -> None:
        self.began, self.worked = time.perf_counter(), time.process_time()

    def read(self) -> tuple[float, float]:
        """Both."""
        return time.perf_counter() - self.began, time.process_time() - self.worked


def ours(scene, maps, voxels, patience, drive) -> Reached:
    """Our front on the processor, looked at as often as the tool does."""
    clock = Clock()
    front = Front(maps.start.copy(), scene.spacing, np.ones_like(maps.start), np.zeros_like(maps.start))
    size = int(front.inside.sum())
    while size < voxels and front.iterations < ITERATIONS:
        moved = front.advance(drive, UPDATE)
        if moved.box is None:
            break
        size = int(np.count_nonzero(front.inside))
    return Reached(front.inside, *clock.read(), size >= voxels, front.iterations)


def _itk(scene, start, feature):
    images = []
    for array in (start, feature):
        image = sitk.GetImageFromArray(np.ascontiguousarray(array, np.float32))
        image.SetSpacing(scene.spacing[::-1])
        images.append(image)
    return images


def _signed(mask, spacing):
    inner, outer = ndi.distance_transform_edt(mask, sampling=spacing), ndi.distance_transform_edt(~mask, sampling=spacing)
    half = min(spacing) / 2
    return np.where(mask, half - inner, outer - half).astype(np.float32)


def _fewest_iterations(scene, maps, feature, flow, voxels, patience) -> Reached:
    """ITK runs to a number of iterations: search the fewest that are enough, to a twentieth. Where none is, to nearly all of what it did reach."""
    images = _itk(scene, _signed(maps.start, scene.spacing), feature)
    flow.SetMaximumRMSError(0.0)
    tried: dict[int, Reached] = {}
    asked, count = voxels, 40
    while True:
        flow.SetNumberOfIterations(count)
        clock = Clock()
        answer = flow.Execute(*images)
        took = clock.read()
        mask = sitk.GetArrayFromImage(answer) < 0
        tried[count] = Reached(mask, *took, mask.sum() >= voxels, count)
        spent = sum(each.seconds for each in tried.values())
        if asked == voxels and not any(each.enough for each in tried.values()) and (spent > patience or count >= ITERATIONS):
            asked = int(NEARLY * mask.sum())
        high = min((n for n, each in tried.items() if each.mask.sum() >= asked), default=None)
        low = max((n for n in tried if high is None or n < high), default=0)
        if high is not None and (high - low <= max(1, high // 20) or spent > 2 * patience):
            return tried[high]
        count = (low + high) // 2 if high is not None else min(int(count * 1.7), ITERATIONS)


def itk_threshold(scene, maps, voxels, patience, drive) -> Reached:
    """SimpleITK's threshold level set: its speed is min(f - lower, upper - f), so for chances of the target it is ours halved."""
    flow = sitk.ThresholdSegmentationLevelSetImageFilter()
    flow.SetLowerThreshold(0.5)
    flow.SetUpperThreshold(1.5)
    flow.SetPropagationScaling(2.0)
    flow.SetCurvatureScaling(CURVATURE)
    return _fewest_iterations(scene, maps, (maps.speed + 1) / 2, flow, voxels, patience)


def itk_geodesic(scene, maps, voxels, patience, drive) -> Reached:
    """SimpleITK's geodesic active contour with a balloon."""
    flow = sitk.GeodesicActiveContourLevelSetImageFilter()
    flow.SetPropagationScaling(1.0)
    flow.SetCurvatureScaling(CURVATURE)
    flow.SetAdvectionScaling(1.0)
    return _fewest_iterations(scene, maps, maps.stopping, flow, voxels, patience)


def itk_fast_marching(scene, maps, voxels, patience, drive) -> Reached:
    """SimpleITK's fast marching, a front that never turns back, stopped at the arrival time that holds the volume (known from a run before)."""
    speed = np.clip(maps.speed, 0.0, 1.0)
    image = _itk(scene, speed, speed)[0]
    march = sitk.FastMarchingImageFilter()
    march.SetTrialPoints([tuple(int(v) for v in seed[::-1]) for seed in scene.seeds])
    arrival = sitk.GetArrayFromImage(march.Execute(image))
    reached = int((arrival < NEVER).sum())
    count = int(voxels if voxels < reached else NEARLY * reached)
    stop = float(np.partition(arrival.ravel(), count)[count])
    march.SetStoppingValue(stop)
    clock = Clock()
    answer = march.Execute(image)
    took = clock.read()
    mask = sitk.GetArrayFromImage(answer) <= stop
    return Reached(mask, *took, voxels < reached, 0)


def skimage_geodesic(scene, maps, voxels, patience, drive) -> Reached:
    """scikit-image's morphological geodesic active contour with a balloon, stopped when it is large enough. It knows no spacing."""
    from skimage.segmentation import morphological_geodesic_active_contour

    class Enough(Exception):
        pass

    state = {"mask": maps.start, "count": -1}
    clock = Clock()

    def watch(mask) -> None:
        state.update(mask=mask.copy() > 0, count=state["count"] + 1)
        if state["mask"].sum() >= voxels or clock.read()[0] > patience:
            raise Enough

    try:
        morphological_geodesic_active_contour(
            maps.stopping, ITERATIONS, init_level_set=maps.start.astype(np.int8), smoothing=1, threshold=0.3, balloon=1, iter_callback=watch
        )
    except Enough:
        pass
    return Reached(state["mask"], *clock.read(), state["mask"].sum() >= voxels, state["count"])


REGION = {"SimpleITK threshold level set": itk_threshold, "SimpleITK fast marching": itk_fast_marching}
EDGE = {"SimpleITK geodesic active contour": itk_geodesic, "scikit-image morphological geodesic contour": skimage_geodesic}
