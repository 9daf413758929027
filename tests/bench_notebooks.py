"""How long a notebook waits for its libraries: kernels forked by `mammo_mlops.reports.warm_kernels` beside kernels that start as Jupyter starts them."""

import statistics
import tempfile
import time
from pathlib import Path

import nbformat
import papermill
from jupyter_client.provisioning import KernelProvisionerFactory
from nbformat.v4 import new_code_cell, new_notebook

from mammo_mlops.reports.warm_kernels import warm_up

SOURCE = "import os\nos.environ.setdefault('AWS_DEFAULT_REGION', 'us-east-1')\nimport pandas, matplotlib.figure, boto3, sagemaker.mlops.workflow.pipeline"
REPEATS = 5


def seconds(folder: Path) -> float:
    """Of one notebook that imports what notebook 30 imports."""
    started = time.perf_counter()
    papermill.execute_notebook(str(folder / "source.ipynb"), str(folder / "done.ipynb"), progress_bar=False, kernel_name="python3", extra_arguments=["--log-level=50"])
    return time.perf_counter() - started


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        notebook = new_notebook(cells=[new_code_cell(SOURCE)])
        notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "python3", "language": "python"}
        nbformat.write(notebook, folder / "source.ipynb")
        cold = [seconds(folder) for _ in range(REPEATS)]
        warm_up("us-east-1")
        first = seconds(folder)
        warm = [seconds(folder) for _ in range(REPEATS)]
    provisioner = KernelProvisionerFactory.instance().default_provisioner_name
    print(f"A notebook that imports pandas, matplotlib, boto3 and the SageMaker SDK, {REPEATS} times each, median:")
    print(f"  started by Jupyter {statistics.median(cold):6.2f} s")
    print(f"  forked             {statistics.median(warm):6.2f} s   {statistics.median(cold) / statistics.median(warm):.1f} times faster; the first one, which waits for the imports, {first:.2f} s ({provisioner})")


if __name__ == "__main__":
    main()
