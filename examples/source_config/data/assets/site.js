document.body.lang = "en";
