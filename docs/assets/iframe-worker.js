/* Browsers refuse workers to pages that are opened from disk, and the search needs one. There, an invisible frame
   plays its part: it runs the same script and speaks to the page by the same messages. */
if (location.protocol === "file:") {
  class IFrameWorker extends EventTarget {
    constructor(url) {
      super();
      const address = new URL(url, location.href);
      this.waiting = [];
      this.frame = document.createElement("iframe");
      this.frame.hidden = true;
      document.documentElement.append(this.frame);
      const inside = this.frame.contentWindow;
      inside.document.open();
      inside.document.write("<!doctype html><meta charset=utf-8><title>search</title>");
      inside.document.close();
      inside.postMessage = (data) => this.dispatchEvent(new MessageEvent("message", { data }));
      const load = (source) =>
        new Promise((done, failed) => {
          const script = inside.document.createElement("script");
          Object.assign(script, { src: new URL(source, address).href, onload: done, onerror: failed });
          inside.document.head.append(script);
        });
      inside.importScripts = (...sources) =>
        sources.reduce((before, source) => before.then(() => load(source)), Promise.resolve());
      load(address).then(
        () => {
          this.inside = inside;
          for (const data of this.waiting) this.postMessage(data);
        },
        () => this.dispatchEvent(new ErrorEvent("error", { message: `${url} cannot be read` })),
      );
    }

    postMessage(data) {
      if (this.inside) this.inside.dispatchEvent(new MessageEvent("message", { data, source: window }));
      else this.waiting.push(data);
    }

    terminate() {
      this.frame.remove();
    }
  }
  window.IFrameWorker = window.Worker = IFrameWorker;
}
