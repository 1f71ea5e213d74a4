"""DICOM series as scanners write them, in any direction and order."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

SIZE, PIXEL, GAP = (20, 16, 12), (1.5, 2.0), 2.5  # columns, rows, slices; mm
AXIAL = ((1, 0, 0), (0, 1, 0))
TURNED = ((-1, 0, 0), (0, -1, 0))
SAGITTAL = ((0, 1, 0), (0, 0, -1))


def hounsfield(seed: int = 0) -> np.ndarray:
    """(columns, rows, slices): whole numbers, as scanners give them."""
    return np.random.default_rng(seed).integers(-1000, 1000, SIZE).astype(np.float64)


def write_series(
    folder: Path, values: np.ndarray, directions=AXIAL, *, slopes=(1.0,), upwards=True, series=None
) -> np.ndarray:
    """One file per slice, named in no order; returns the affine from (column, row, slice) to RAS.

    ``slopes`` are taken in turn: slice n is stored as (values + 1024) / slope.
    """
    folder.mkdir(parents=True, exist_ok=True)
    right, down = np.array(directions, float)
    normal = np.cross(right, down) * (1 if upwards else -1)
    origin, series = np.array([-30.0, 12.0, 7.0]), series or generate_uid()
    study = generate_uid()
    names = np.random.default_rng(1).permutation(values.shape[2])
    for index, slope in zip(range(values.shape[2]), itertools.cycle(slopes)):
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID = CTImageStorage
        meta.MediaStorageSOPInstanceUID = generate_uid()
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        file = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
        file.SOPClassUID, file.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
        file.StudyInstanceUID, file.SeriesInstanceUID, file.Modality = study, series, "CT"
        file.FrameOfReferenceUID = study
        file.InstanceNumber = int(names[index]) + 1
        file.ImageOrientationPatient = [*right, *down]
        file.ImagePositionPatient = [float(x) for x in origin + normal * GAP * index]
        file.PixelSpacing = [PIXEL[1], PIXEL[0]]  # between rows, between columns
        file.SliceThickness = GAP
        file.Columns, file.Rows = SIZE[0], SIZE[1]
        file.SamplesPerPixel, file.PhotometricInterpretation = 1, "MONOCHROME2"
        file.BitsAllocated, file.BitsStored, file.HighBit = 16, 16, 15
        file.PixelRepresentation = 1
        file.RescaleSlope, file.RescaleIntercept = slope, -1024
        stored = np.rint((values[:, :, index] + 1024) / slope).astype("<i2")
        file.PixelData = stored.T.tobytes()
        file.save_as(folder / f"{names[index]:03d}.dcm", enforce_file_format=True)
    affine = np.eye(4)
    affine[:3, :3] = np.stack([right * PIXEL[0], down * PIXEL[1], normal * GAP], axis=1)
    affine[:3, 3] = origin
    return np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine
