"use strict";

// The buttons below a figure: its file, as it lies in a <script> beside them, as SVG or drawn as PNG.
{
  const SCALE = 3; // pixels of a PNG for a pixel of the drawing

  const save = (blob, name) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  };

  const png = async (svg) => {
    const image = new Image();
    image.src = "data:image/svg+xml;charset=utf-8," + encodeURIComponent(svg);
    await image.decode();
    const canvas = document.createElement("canvas");
    canvas.width = image.naturalWidth * SCALE;
    canvas.height = image.naturalHeight * SCALE;
    const plane = canvas.getContext("2d");
    plane.fillStyle = "#fff";
    plane.fillRect(0, 0, canvas.width, canvas.height);
    plane.drawImage(image, 0, 0, canvas.width, canvas.height);
    return new Promise((done) => canvas.toBlob(done, "image/png"));
  };

  document.addEventListener("click", async (event) => {
    const button = event.target.closest("button[data-file]");
    if (!button) return;
    const figure = button.closest("[data-name]");
    const svg = figure.querySelector('script[type="image/svg+xml"]').textContent;
    const kind = button.dataset.file;
    const blob = kind === "svg" ? new Blob([svg], { type: "image/svg+xml" }) : await png(svg);
    save(blob, `${figure.dataset.name}.${kind}`);
  });
}
