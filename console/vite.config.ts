import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig } from 'vite';

// The admin address of a running gateway, for `npm run dev`.
const gateway = process.env.TIDEGATE_ADMIN ?? 'http://127.0.0.1:9900';

export default defineConfig({
  plugins: [svelte()],
  base: './',
  build: {
    outDir: 'dist',
    emptyOutDir: true,
    target: 'es2022',
    // Everything is a file of its own: the content security policy allows nothing inline.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
  server: { proxy: { '/api': { target: gateway, changeOrigin: true, headers: { origin: gateway } } } },
});
