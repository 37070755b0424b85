function sortable(table) {
  const headings = [...table.tHead.rows[0].cells];
  headings.forEach((heading, column) => {
    const button = heading.querySelector('button');
    if (!button) return;
    button.addEventListener('click', () => {
      const down = heading.classList.contains('number')
        ? heading.getAttribute('aria-sort') !== 'descending'
        : heading.getAttribute('aria-sort') === 'ascending';
      for (const other of headings) if (other.hasAttribute('aria-sort')) other.setAttribute('aria-sort', 'none');
      heading.setAttribute('aria-sort', down ? 'descending' : 'ascending');
      const value = (row) => {
        const cell = row.cells[column];
        if (!heading.classList.contains('number')) return cell.textContent.trim();
        return cell.dataset.value === '' ? null : Number(cell.dataset.value);
      };
      const compare = (one, other) => {
        const [a, b] = [value(one), value(other)];
        if (a === null || b === null) return (a === null) - (b === null); // what does not apply goes last
        const order = typeof a === 'string' ? a.localeCompare(b, undefined, { numeric: true }) : a - b;
        return down ? -order : order;
      };
      const body = table.tBodies[0];
      body.append(...[...body.rows].sort(compare));
    });
  });
}
