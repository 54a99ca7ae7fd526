import preact from "@preact/preset-vite";
import { defineConfig } from "vite";

// Fixed names: the gateway names each file, so that a missing one is noticed when it is compiled.
export default defineConfig({
  base: "./",
  plugins: [preact()],
  build: {
    target: "es2022",
    cssCodeSplit: false,
    modulePreload: false,
    assetsInlineLimit: 0,
    rollupOptions: {
      output: {
        entryFileNames: "assets/app.js",
        chunkFileNames: "assets/[name].js",
        assetFileNames: (asset) => (asset.names.some((name) => name.endsWith(".css")) ? "assets/app.css" : "assets/[name][extname]"),
        codeSplitting: false,
      },
    },
  },
  server: { proxy: { "/v1": "http://127.0.0.1:8787" } },
});
