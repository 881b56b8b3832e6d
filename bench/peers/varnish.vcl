# Varnish as a cache: answers in memory, its own rules for what is kept, its log in shared memory as it always is.
vcl 4.1;
backend origin {
    .host = "127.0.0.1";
    .port = "{{ORIGIN}}";
}
