"use strict";
// Frames have two rows, so this stands in for the function of the same name that fits one row of text into each frame.
// A frame's title has a line each for the label, what it holds, and the code, if there is any.
function update_text_for_elements(elements) {
    var whole = frames.attributes.width.value;
    var character = known_font_width || fontsize * fontwidth;
    // The title stands between "Reset Zoom" and "Reset Search", the line below it alone.
    fit_caption("title", ((whole - 4 * xpad) / character - 24) * fontsize / (fontsize + 5));
    fit_caption("subtitle", whole / character);
    var fitted = [];
    for (var i = 0; i < elements.length; i++) {
        var rect = find_child(elements[i], "rect").attributes;
        var room = Math.floor((parseFloat(rect.width.value) * whole / 100 - 6) / character);
        var lines = find_child(elements[i], "title").textContent.split("\n");
        fitted.push({
            x: format_percent(parseFloat(rect.x.value) + 300 / whole),
            rows: [fit_end(lines[0], room), fit_start(lines[2] || "", room)]
        });
    }
    // All reading before all writing, so that the browser lays the picture out only once.
    for (var i = 0; i < elements.length; i++) {
        var texts = elements[i].getElementsByTagName("text");
        for (var j = 0; j < texts.length; j++) {
            texts[j].attributes.x.value = fitted[i].x;
            texts[j].textContent = fitted[i].rows[j];
        }
    }
}
// What is cut off is seen by hovering.
function fit_caption(id, room) {
    var shown = document.getElementById(id);
    if (!shown) return;
    var said = find_child(shown, "title");
    if (!said) {
        said = document.createElementNS("http://www.w3.org/2000/svg", "title");
        said.textContent = shown.textContent;
        shown.appendChild(said);
    }
    shown.firstChild.nodeValue = fit_start(said.textContent, room);
}
// East Asian characters and pictures are twice as wide as letters.
function columns(character) {
    return character.codePointAt(0) >= 0x1100 ? 2 : 1;
}
function fit_start(text, room) {
    return fit(Array.from(text), room, function (kept) { return kept + ".."; });
}
function fit_end(text, room) {
    return fit(Array.from(text).reverse(), room, function (kept) { return ".." + Array.from(kept).reverse().join(""); },
        text);
}
function fit(characters, room, cut, whole) {
    var width = 0, kept = "";
    for (var i = 0; i < characters.length; i++) {
        width += columns(characters[i]);
        if (width <= room - 2) kept += characters[i];
        if (width > room) return room < 8 ? "" : cut(kept);
    }
    return whole === undefined ? characters.join("") : whole;
}
