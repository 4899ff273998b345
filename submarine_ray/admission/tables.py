"""What admission has let start, and who waits in its line."""

from __future__ import annotations

from sqlalchemy import BigInteger, Double, Integer, String
from sqlalchemy.orm import Mapped, mapped_column

from submarine_ray.core.database import Table
from submarine_ray.spec.quantities import Resources


class AdmissionRow(Table):
    """One that was let start with `units` times its unit, all of which the columns hold; or waits, with no unit."""

    __tablename__ = "admission"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    cluster: Mapped[str] = mapped_column(String(63), index=True)
    since_ms: Mapped[int] = mapped_column(BigInteger)
    overtaken: Mapped[int] = mapped_column(Integer, default=0)
    units: Mapped[int] = mapped_column(Integer, default=0)
    cpu: Mapped[float] = mapped_column(Double, default=0.0)
    memory: Mapped[int] = mapped_column(BigInteger, default=0)
    gpu: Mapped[float] = mapped_column(Double, default=0.0)

    @property
    def resources(self) -> Resources:
        """What it was let have."""
        return Resources(self.cpu, self.memory, self.gpu)
